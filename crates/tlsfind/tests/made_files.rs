//! What is found in files whose every byte is known.

mod made;

use made::{BASE, Made, TEXT, build_info, function_table, old_build_info};
use remora_tlsfind::go::Abi;
use remora_tlsfind::{CodeFault, Found, Function, Kind, Limits, Problem, Report, inspect};

fn of(file: &[u8]) -> Report {
    inspect(&file, &Limits::default())
}

/// xor eax,eax; ret; then int3 up to 16 bytes: a function of Go, or of anything.
const RETURNS_ZERO: [u8; 16] =
    [0x31, 0xc0, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc];

#[test]
fn functions_of_libraries_are_found_by_name() {
    let text = [RETURNS_ZERO; 3].concat();
    let made = Made::x86(&text).symbol("SSL_read", 0, 3).symbol("SSL_write", 16, 3);
    let report = of(&made.symbol("SSL_read_early_data", 32, 3).build());
    assert_eq!(report.problems, []);
    let code = report.code(Kind::OpenSsl).unwrap();
    assert_eq!((code.found, code.confidence), (Found::DynamicSymbols, 100));
    let write = code.point(Function::SslWrite).unwrap();
    assert_eq!((write.entry, &write.returns[..]), (TEXT + 16, &[TEXT + 18][..]));
    assert!(write.returns_are_complete() && code.is_readable());
}

#[test]
fn relatives_of_openssl_are_told_apart() {
    let made = || Made::x86(&[RETURNS_ZERO; 2].concat()).symbol("SSL_read", 0, 3).symbol("SSL_write", 16, 3);
    let kind = |made: Made| of(&made.build()).codes[0].kind;
    assert_eq!(kind(made()), Kind::OpenSsl);
    assert_eq!(kind(made().symbol("SSL_CTX_set_custom_verify", 0, 3)), Kind::BoringSsl);
    let aws = made().symbol("SSL_CTX_set_custom_verify", 0, 3).symbol("awslc_api_version_num", 0, 3);
    assert_eq!(kind(aws), Kind::AwsLc);
    assert_eq!(kind(made().data(".rodata", b"LibreSSL 3.9.2\0".to_vec())), Kind::LibreSsl);
}

#[test]
fn code_of_arm64_is_read() {
    // cbz x0, +8; ret; b +0x40 (out of the function)
    let made = Made::arm64(&[0xb400_0040, 0xd65f_03c0, 0x1400_0010, 0, 0, 0, 0, 0]).symbol("PR_Read", 0, 12);
    let report = of(&made.build());
    let read = report.codes[0].point(Function::PrRead).unwrap();
    assert_eq!((&read.returns[..], read.tails.len()), (&[TEXT + 4][..], 1));
    assert!(!read.returns_are_complete());
}

#[test]
fn a_function_that_cannot_be_followed_keeps_its_entry_and_tells_why() {
    let report = of(&Made::x86(&[0x06; 16]).symbol("SSL_read", 0, 16).build());
    let point = report.codes[0].point(Function::SslRead).unwrap();
    assert_eq!((point.entry, point.returns.len()), (TEXT, 0));
    let fault = Problem::Code { function: Function::SslRead, entry: TEXT, reason: CodeFault::Undecodable };
    assert_eq!(report.problems, [fault]);
    let no_end = of(&Made::x86(&RETURNS_ZERO).symbol("SSL_read", 0, 0).build());
    assert!(matches!(no_end.problems[..], [Problem::Code { reason: CodeFault::NoEnd, .. }]));
}

#[test]
fn a_name_outside_the_code_gives_no_point() {
    let report = of(&Made::x86(&RETURNS_ZERO).symbol("SSL_read", 0x100_0000, 16).build());
    assert!(report.codes.is_empty());
    assert!(matches!(report.problems[..], [Problem::Code { reason: CodeFault::NotCode, .. }]));
}

/// Other functions around the wanted ones, as in any program.
fn go_functions() -> Vec<(&'static str, u64)> {
    let names = [
        "runtime.text",
        "main.main",
        "crypto/tls.(*Conn).Write",
        "crypto/tls.(*Conn).Read",
        "my/crypto/tls.(*Conn).Reads",
        "crypto/tls.(*Config).writeKeyLog",
    ];
    names.iter().enumerate().map(|(i, name)| (*name, 16 * i as u64)).collect()
}

#[test]
fn every_format_of_gos_function_table_is_read() {
    let functions = go_functions();
    let text = RETURNS_ZERO.repeat(functions.len());
    for (magic, version) in [
        (0xffff_fffb, "go1.15.2"),
        (0xffff_fffa, "go1.16"),
        (0xffff_fff0, "go1.18.1"),
        (0xffff_fff1, "go1.27.3"),
    ] {
        let table = function_table(magic, &functions, text.len() as u64);
        let made = || Made::x86(&text).data(".gopclntab", table.clone());
        let info = match magic {
            0xffff_fffb | 0xffff_fffa => {
                let address = made().data(".go.buildinfo", Vec::new()).data_address(1);
                old_build_info(version, address)
            }
            _ => build_info(version),
        };
        let made = made().data(".go.buildinfo", info);
        for file in [made.build(), made.without_sections().build()] {
            let report = of(&file);
            assert_eq!(report.problems, [], "{version}");
            let code = report.code(Kind::GoTls).unwrap();
            assert_eq!(code.version.as_deref(), Some(version));
            let go = code.go.as_ref().unwrap();
            assert_eq!(go.abi == Abi::Register, magic > 0xffff_ffef && magic < 0xffff_fffa);
            let found: Vec<_> =
                code.points.iter().map(|p| (p.function, p.entry, p.returns.clone())).collect();
            let at = |i: u64| (TEXT + 16 * i, vec![TEXT + 16 * i + 2]);
            let expected =
                [(Function::GoConnRead, 3), (Function::GoConnWrite, 2), (Function::GoWriteKeyLog, 5)];
            assert_eq!(found, expected.map(|(f, i)| (f, at(i).0, at(i).1)), "{version}");
        }
    }
}

#[test]
fn where_gos_code_begins_is_not_guessed() {
    let functions = go_functions();
    let text = RETURNS_ZERO.repeat(functions.len());
    let mut table = function_table(0xffff_fff1, &functions, text.len() as u64);
    // Since Go 1.26 the header says nothing; the section of the code is checked instead.
    table[24..32].fill(0);
    let file = |text: &[u8], table: &[u8]| {
        let made = Made::x86(text).data(".gopclntab", table.to_vec());
        of(&made.data(".go.buildinfo", build_info("go1.26.0")).build())
    };
    assert_eq!(file(&text, &table).codes[0].points[0].entry, TEXT + 48);
    // The same table over code of which nothing begins where it says.
    let other = vec![0x90_u8; text.len()].iter().enumerate().map(|(i, _)| i as u8).collect::<Vec<_>>();
    let report = file(&other, &table);
    assert!(report.codes.is_empty());
    assert!(matches!(report.problems[..], [Problem::NotFound(Kind::GoTls, _)]));
    // By the module's structure, for a header that says nothing and code in C before Go's.
    let mut c_first = vec![0x90; 64];
    c_first.extend(&text);
    let made = Made::x86(&c_first).data(".gopclntab", table.clone());
    let mut module = made.data_address(0).to_le_bytes().to_vec();
    module.resize(176, 0);
    module.extend((BASE + TEXT + 64).to_le_bytes());
    let made = made.data(".go.buildinfo", build_info("go1.27.0")).data(".data", module);
    assert_eq!(of(&made.build()).codes[0].points[0].entry, TEXT + 64 + 48);
}

#[test]
fn what_cannot_be_read_is_told() {
    let told = |strings: &[u8]| of(&Made::x86(&RETURNS_ZERO).data(".rodata", strings.to_vec()).build());
    let unknown = told(b"\0TLS 1.3, server CertificateVerify\0");
    assert!(matches!(unknown.problems[..], [Problem::UnknownTls(_)]));
    let rustls = told(b"/registry/src/index/rustls-0.23.37/src/conn.rs");
    assert_eq!(rustls.code(Kind::Rustls).unwrap().version.as_deref(), Some("0.23.37"));
    assert!(matches!(rustls.problems[..], [Problem::NotFound(Kind::Rustls, _)]));
    assert!(told(b"tokio-rustls-0.26.4/src/lib.rs").codes.is_empty());
    let boring = told(b"\0external/boringssl+/ssl/ssl_lib.cc\0");
    assert!(matches!(boring.problems[..], [Problem::NotFound(Kind::BoringSsl, _)]));
    assert_eq!(told(b"nothing of interest\0").problems, []);
}

#[test]
fn other_files_are_refused_in_words() {
    assert_eq!(of(b"#!/bin/sh\n").problems, [Problem::NotElf]);
    assert_eq!(of(b"").problems, [Problem::NotElf]);
    let mut file = Made::x86(&RETURNS_ZERO).build();
    file[4] = 1;
    file[18] = 3;
    assert_eq!(of(&file).problems, [Problem::Unsupported("x86, 32-bit".into())]);
}

/// The inputs of the fuzz target `elf` are files that this test makes: `REMORA_SEEDS=DIR` writes them.
#[test]
fn seeds_of_the_fuzz_target_are_read() {
    let functions = go_functions();
    let text = RETURNS_ZERO.repeat(functions.len());
    let table = |magic| function_table(magic, &functions, text.len() as u64);
    let go = |magic, version| {
        let made = Made::x86(&text).data(".gopclntab", table(magic));
        made.data(".go.buildinfo", build_info(version)).build()
    };
    let strings = b"\0OpenSSL 3.0.17 1 Jul 2025\0ssl/ssl_lib.cc\0/rustls-0.23.1/\0".to_vec();
    let library = Made::x86(&text).symbol("SSL_read", 0, 16).symbol("gnutls_record_send", 16, 0);
    let arm64 = Made::arm64(&[0xb400_0040, 0xd65f_03c0, 0x1400_0010, 0xd65f_0bff]);
    let seeds = [
        ("library", library.data(".rodata", strings).build()),
        ("go1.10", go(0xffff_fffb, "go1.10")),
        ("go1.16", go(0xffff_fffa, "go1.16")),
        ("go1.27", go(0xffff_fff1, "go1.27.3")),
        ("arm64", arm64.symbol("PR_Read", 0, 16).build()),
    ];
    for (name, file) in &seeds {
        assert!(!of(file).codes.is_empty(), "{name}");
        if let Some(dir) = std::env::var_os("REMORA_SEEDS") {
            std::fs::write(std::path::Path::new(&dir).join(name), file).unwrap();
        }
    }
}
