//! Processes: made-up ones in a directory, and real ones.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod made;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use made::Made;
use remora_tlsfind::Kind;
use remora_tlsfind::process::{NotReadable, ScanError, ScanLimits, Scanner};

const LIBRARY: &str = "/opt/lib/libother.so";

/// A process 7 that has one library mapped, in a root of its own.
fn made_process(dir: &Path, library: &[u8], line: impl Fn(u64) -> String) {
    let file = dir.join("7/root").join(LIBRARY.trim_start_matches('/'));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, library).unwrap();
    let inode = fs::metadata(&file).unwrap().ino();
    fs::write(dir.join("7/maps"), line(inode)).unwrap();
    fs::write(dir.join("7/stat"), format!("7 (a ) b) S {}4242 0\n", "0 ".repeat(18))).unwrap();
}

fn mapped(inode: u64) -> String {
    format!("7f0000001000-7f0000002000 r-xp 00001000 fe:00 {inode}    {LIBRARY}\n")
}

fn library() -> Vec<u8> {
    let text = [0x31, 0xc0, 0xc3, 0xcc].repeat(8);
    Made::x86(&text).symbol("SSL_read", 0, 3).symbol("SSL_write", 16, 3).build()
}

#[test]
fn files_are_found_in_the_root_of_the_process_and_inspected_once() {
    let dir = tempfile::tempdir().unwrap();
    made_process(dir.path(), &library(), mapped);
    let mut scanner = Scanner::new(dir.path(), ScanLimits::default());
    assert_eq!(scanner.processes().unwrap(), [7]);
    let process = scanner.process(7).unwrap();
    assert_eq!((process.inspected, process.started), (1, Some(4242)));
    assert_eq!(process.not_readable, []);
    let file = &process.files[0];
    assert_eq!(file.mapping.path, Path::new(LIBRARY));
    assert_eq!(fs::read(&file.open_at).unwrap(), library());
    assert!(file.report.code(Kind::OpenSsl).unwrap().is_readable());
    scanner.process(7).unwrap();
    let stats = scanner.cache().stats();
    assert_eq!((stats.misses, stats.hits), (1, 1));
    // Other content is another file.
    let path = file.open_at.clone();
    fs::write(&path, [library(), vec![0]].concat()).unwrap();
    scanner.process(7).unwrap();
    assert_eq!(scanner.cache().stats().misses, 2);
}

#[test]
fn what_is_mapped_but_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let told = |line: &dyn Fn(u64) -> String| {
        made_process(dir.path(), &library(), line);
        let process = Scanner::new(dir.path(), ScanLimits::default()).process(7).unwrap();
        assert!(process.files.is_empty());
        process.not_readable
    };
    let other = told(&|inode| mapped(inode + 1));
    assert!(matches!(other[..], [NotReadable::Replaced { .. }]));
    let deleted = told(&|inode| mapped(inode).replace('\n', " (deleted)\n"));
    assert!(matches!(deleted[..], [NotReadable::Replaced { .. }]));
    let gone = told(&|inode| mapped(inode).replace("libother", "libgone"));
    assert!(matches!(gone[..], [NotReadable::File { .. }]));
    let java = told(&|inode| mapped(inode).replace("libother.so", "server/libjvm.so"));
    assert!(matches!(java[..], [NotReadable::Java { .. }, NotReadable::File { .. }]));
    assert_eq!(java[0].kind(), Some(Kind::JavaJsse));
    assert!(java[0].to_string().contains("-javaagent"));
}

#[test]
fn what_is_in_a_file_but_not_understood_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let strings = b"/rustls-0.23.5/src/\0TLS 1.3, server CertificateVerify\0".to_vec();
    made_process(dir.path(), &Made::x86(&[0xc3]).data(".rodata", strings).build(), mapped);
    let process = Scanner::new(dir.path(), ScanLimits::default()).process(7).unwrap();
    assert_eq!(process.not_readable.iter().map(NotReadable::kind).collect::<Vec<_>>(), [Some(Kind::Rustls)]);
}

#[test]
fn more_files_than_the_limit_are_told() {
    let dir = tempfile::tempdir().unwrap();
    made_process(dir.path(), &library(), |inode| mapped(inode) + &mapped(inode + 1));
    let limits = ScanLimits { files: 1, ..ScanLimits::default() };
    let process = Scanner::new(dir.path(), limits).process(7).unwrap();
    assert_eq!(process.not_readable, [NotReadable::TooManyFiles(1)]);
    assert_eq!(process.files.len(), 1);
}

#[test]
fn a_process_that_is_gone_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut scanner = Scanner::new(dir.path(), ScanLimits::default());
    assert!(matches!(scanner.process(7), Err(ScanError::Ended(7))));
}

#[test]
fn a_running_program_with_a_library_that_it_opened_late() {
    let test = "a_running_program_with_a_library_that_it_opened_late";
    let script = "import ssl, sys; print('ready', flush=True); sys.stdin.read()";
    let child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        println!("SKIPPED: {test}: /usr/bin/python3 cannot be run");
        return;
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line == "ready\n" {
        let process = Scanner::new("/proc", ScanLimits::default()).process(child.id()).unwrap();
        let kinds: Vec<_> = process.files.iter().flat_map(|f| &f.report.codes).map(|c| c.kind).collect();
        assert_eq!(kinds, [Kind::OpenSsl], "{:?}", process.not_readable);
        assert!(fs::metadata(&process.files[0].open_at).is_ok());
        assert!(process.started.is_some());
    } else {
        println!("SKIPPED: {test}: this python3 has no module ssl");
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}
