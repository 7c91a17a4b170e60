//! What Wireshark's tools make of exports and of segments.

use std::path::Path;
use std::process::Command;

use remora_ring::{ExportOptions, Flows, Ring};

use crate::common::*;

/// What the tool prints; it must have nothing to complain about.
fn run(tool: &str, args: &[&str], file: &Path) -> String {
    let out = Command::new(tool).args(args).arg(file).output().unwrap();
    let complaints = String::from_utf8(out.stderr).unwrap();
    let complaints = complaints.lines().filter(|l| !l.is_empty() && !l.starts_with("Running as user"));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<&str>::new(), "{tool} {args:?}");
    assert!(out.status.success(), "{tool} {args:?}");
    String::from_utf8(out.stdout).unwrap()
}

fn fields(file: &Path, names: &[&str]) -> Vec<Vec<String>> {
    let mut args = vec!["-n", "-T", "fields"];
    names.iter().for_each(|name| args.extend(["-e", name]));
    args.push("-r");
    let out = run("tshark", &args, file);
    out.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn exports_are_read_without_complaint() {
    if ["tshark", "capinfos"].iter().any(|tool| Command::new(tool).arg("--version").output().is_err()) {
        return eprintln!("SKIPPED: exports_are_read_without_complaint: tshark or capinfos is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(&dir.path().join("ring"), 4 << 20)).unwrap();
    let interfaces = [ring.interface("node-1", "all but loopback"), ring.interface("node-1 lo", "")];
    let mut feeds = [ring.feed(), ring.feed()];
    let start = 1_790_000_000_123_456_789_i64;
    for n in 0..1_000_u64 {
        let odd = usize::from(n % 2 == 1);
        let data = udp(n as u16 % 5, n % 3 == 0, n, n as usize % 900);
        push(&mut feeds[odd], interfaces[odd], start + n as i64 * 1_001, &data);
        if n % 300 == 0 {
            feeds.iter_mut().for_each(remora_ring::Feed::flush);
            ring.seal();
        }
    }
    feeds.iter_mut().for_each(remora_ring::Feed::flush);
    ring.secret(&format!("CLIENT_RANDOM {} {}", "ab".repeat(32), "cd".repeat(48))).unwrap();
    assert!(ring.sync(PATIENCE));

    let check = |name: &str, options: ExportOptions| {
        let file = dir.path().join(name);
        let report = ring.export(options).write_to(&mut std::fs::File::create(&file).unwrap()).unwrap();
        let infos = run("capinfos", &["-T", "-m", "-r", "-Q", "-M", "-c", "-d", "-a", "-e", "-S"], &file);
        (file, report, infos)
    };
    let names = vec![("10.0.0.1".parse().unwrap(), "client.example".to_owned())];
    let comment: remora_ring::Comment =
        Box::new(|p, text| text.push_str(&format!("from {}", p.from.unwrap())));
    let options = ExportOptions { names, comment: Some(comment), ..ExportOptions::default() };
    let (file, report, infos) = check("all.pcapng", options);
    assert_eq!(report.packets, 1_000);
    let seconds = |ns: i64| format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    let (first, last) = (start, start + 999 * 1_001);
    assert!(infos.contains("1000"), "{infos}");
    assert!(infos.contains(&report.bytes.to_string()), "{infos}");
    assert!(infos.contains(&seconds(first)) && infos.contains(&seconds(last)), "{infos}");

    let names = [
        "frame.time_epoch",
        "frame.len",
        "frame.interface_name",
        "udp.srcport",
        "udp.length",
        "frame.comment",
    ];
    let rows = fields(&file, &names);
    assert_eq!(rows.len(), 1_000);
    for (n, row) in rows.iter().enumerate() {
        let len = 36 + n % 900;
        let (port, source) = match n % 3 {
            0 => ("53".to_owned(), "10.0.0.2:53".to_owned()),
            _ => ((1_000 + n % 5).to_string(), format!("10.0.0.1:{}", 1_000 + n % 5)),
        };
        let wanted = [
            seconds(start + n as i64 * 1_001),
            len.to_string(),
            ["node-1", "node-1 lo"][n % 2].to_owned(),
            port,
            (len - 20).to_string(),
            format!("from {source}"),
        ];
        assert_eq!(row[..], wanted);
    }
    let named = run("tshark", &["-N", "n", "-c", "1", "-T", "fields", "-e", "ip.dst_host", "-r"], &file);
    assert_eq!(named.trim(), "client.example");

    let flows = Flows::Only(vec![key(2).into()]);
    let (file, report, _) = check("flow.pcapng", ExportOptions { flows, ..ExportOptions::default() });
    assert_eq!((report.packets, fields(&file, &["udp.port"]).len()), (200, 200));
    assert!(fields(&file, &["udp.srcport"]).iter().all(|r| r[0] == "1002" || r[0] == "53"));
    let nobody = Flows::Only(vec![key(99).into()]);
    let (file, _, _) = check("empty.pcapng", ExportOptions { flows: nobody, ..ExportOptions::default() });
    assert!(fields(&file, &["frame.len"]).is_empty());

    // Segments can be opened as they are.
    let segments = files(&dir.path().join("ring"), "pcapng");
    assert!(segments.len() > 3);
    let packets: usize = segments.iter().map(|s| fields(s, &["frame.len"]).len()).sum();
    assert_eq!(packets, 1_000);
}
