//! ICMP and SCTP as tshark sees them: every message is in a call, with the same numbers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use remora_dissect::harness::Recorder;
use remora_dissect::{Engine, FlowIds, Limits};
use remora_model::{CaptureSource, field};
use support::run_bytes;

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn dissected(name: &str) -> Recorder {
    let mut engine = Engine::new(Limits::default(), CaptureSource::File, FlowIds::new(1, 1));
    let mut found = Recorder::default();
    run_bytes(&std::fs::read(capture(name)).unwrap(), &mut engine, &mut found);
    found
}

fn oracle(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(capture(name).with_extension("tshark")).unwrap();
    text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect()
}

/// Types that tshark numbers, and their names here.
const TYPES: &[(i64, &str, &str)] = &[
    (4, "3", "destination_unreachable"),
    (4, "4", "source_quench"),
    (4, "5", "redirect"),
    (4, "8", "echo_request"),
    (4, "11", "time_exceeded"),
    (4, "12", "parameter_problem"),
    (4, "13", "timestamp_request"),
    (4, "17", "address_mask_request"),
    (6, "1", "destination_unreachable"),
    (6, "2", "packet_too_big"),
    (6, "3", "time_exceeded"),
    (6, "4", "parameter_problem"),
    (6, "128", "echo_request"),
    (6, "133", "router_solicitation"),
    (6, "134", "router_advertisement"),
    (6, "135", "neighbor_solicitation"),
    (6, "136", "neighbor_advertisement"),
    (6, "137", "redirect"),
    (6, "143", "multicast_listener_report_v2"),
];

#[test]
fn icmp_agrees_with_tshark() {
    for name in
        ["icmp/ping.pcap", "icmp/errors.pcap", "icmp/neighbours.pcap", "icmp/made.pcap", "tunnel/vxlan.pcap"]
    {
        let found = dissected(name);
        let calls: Vec<_> = found.calls.iter().filter(|c| c.get(field::ICMP_TYPE).is_some()).collect();
        let lines = oracle(name);
        let number = |text: &String| {
            i64::from_str_radix(text.trim_start_matches("0x"), if text.starts_with("0x") { 16 } else { 10 })
                .ok()
        };
        let mut expected: BTreeMap<(i64, String), usize> = BTreeMap::new();
        let mut answered = 0;
        for line in &lines {
            let version = if line[0].is_empty() { 6 } else { 4 };
            let columns = if version == 4 { &line[0..4] } else { &line[4..8] };
            *expected.entry((version, columns[0].clone())).or_default() += 1;
            answered += usize::from(line[8..].iter().any(|c| !c.is_empty()));
            // Every echo has a call with its numbers; what tshark shows of an error's quotation is no echo.
            let is_echo = matches!((version, columns[0].as_str()), (4, "8") | (6, "128"));
            if is_echo {
                let (id, seq) = (number(&columns[2]), number(&columns[3]));
                let has = |c: &&&remora_dissect::harness::Recorded| {
                    c.int(field::ICMP_ID) == id
                        && c.int(field::ICMP_SEQ) == seq
                        && c.int(field::ICMP_VERSION) == Some(version)
                };
                assert!(calls.iter().any(|c| has(&c)), "{name}: {line:?}");
            }
        }
        let again = usize::from(name == "icmp/made.pcap");
        for (version, kind, text) in TYPES {
            let there = calls
                .iter()
                .filter(|c| c.int(field::ICMP_VERSION) == Some(*version) && c.text(field::ICMP_TYPE) == *text)
                .count();
            let mut there_at_tshark = expected.get(&(*version, (*kind).to_owned())).copied().unwrap_or(0);
            // One request was captured twice.
            there_at_tshark -= if *kind == "8" { again } else { 0 };
            assert_eq!(there, there_at_tshark, "{name}: {text} of version {version}");
        }
        let paired = calls
            .iter()
            .filter(|c| c.text(field::ICMP_TYPE) == "echo_request" && c.elapsed_us.is_some())
            .count();
        // Of two crossing echoes with the same numbers tshark pairs one.
        assert_eq!(paired, answered + again, "{name}");
    }
}

#[test]
fn sctp_agrees_with_tshark() {
    for name in ["sctp/diameter.pcap", "sctp/control.pcap"] {
        let found = dissected(name);
        let lines = oracle(name);
        let checksums: Vec<i64> =
            lines.iter().map(|l| i64::from_str_radix(l[1].trim_start_matches("0x"), 16).unwrap()).collect();
        let of = |kind: &str| found.calls.iter().filter(|c| c.text(field::SCTP_CHUNK_TYPE) == kind).count();
        let at_tshark = |kind: &str| lines.iter().filter(|l| l[0].split(',').any(|k| k == kind)).count();
        // One INIT was sent twice, and one ABORT answers an INIT.
        let (again, refused) = if name == "sctp/control.pcap" { (1, 1) } else { (0, 0) };
        assert_eq!(of("INIT"), at_tshark("1") - again, "{name}");
        assert_eq!(of("ABORT"), at_tshark("6") - refused, "{name}");
        assert_eq!(of("ERROR"), at_tshark("9"), "{name}");
        assert_eq!(of("SHUTDOWN"), at_tshark("7"), "{name}");
        for call in found.calls.iter().filter(|c| c.get(field::SCTP_CHUNK_TYPE).is_some()) {
            assert!(checksums.contains(&call.int(field::SCTP_CHECKSUM).unwrap()), "{name}: {call:?}");
        }
    }
}
