//! Files that lie: nothing panics, and no more work is done than the limits allow.

mod made;

use made::{Made, build_info, function_table};
use proptest::prelude::*;
use remora_tlsfind::{Limits, Names, Report, inspect_with};

/// Limits that a lying table meets soon.
const TIGHT: Limits = Limits {
    read_bytes: 1 << 20,
    headers: 64,
    symbols: 512,
    functions: 512,
    instructions: 2048,
    relocations: 512,
    function_bytes: 1024,
    returns: 16,
    points: 8,
};

fn look(file: &[u8]) {
    for names in [Names::All, Names::None] {
        check(&inspect_with(&file, &TIGHT, names), file.len() as u64);
    }
}

fn check(report: &Report, len: u64) {
    let work = report.work;
    assert!(work.read_bytes <= TIGHT.read_bytes);
    // The one that met the limit is counted too.
    assert!(work.symbols <= TIGHT.symbols + 2, "{work:?}");
    assert!(work.functions <= TIGHT.functions + 8, "{work:?}");
    assert!(work.instructions <= TIGHT.instructions + 64, "{work:?}");
    assert!(work.relocations <= TIGHT.relocations + 16, "{work:?}");
    for code in &report.codes {
        assert!(code.points.len() <= TIGHT.points && code.confidence <= 100);
        for point in &code.points {
            assert!(point.entry < len && point.returns.len() <= TIGHT.returns);
            let inside = |at: &u64| *at >= point.entry && *at < point.entry + point.len && *at < len;
            assert!(point.returns.iter().all(inside));
            assert!(point.returns.is_sorted());
        }
    }
}

/// Files that exercise every reader.
fn seeds() -> Vec<Vec<u8>> {
    let text = [0x31, 0xc0, 0xc3, 0xcc].repeat(64);
    let functions = [("main.main", 0), ("crypto/tls.(*Conn).Read", 16), ("crypto/tls.(*Conn).Write", 32)];
    let go = |magic, version| {
        let table = function_table(magic, &functions, 48);
        Made::x86(&text).data(".gopclntab", table).data(".go.buildinfo", build_info(version)).build()
    };
    let library = Made::x86(&text).symbol("SSL_read", 0, 16).symbol("gnutls_record_send", 16, 0);
    vec![
        library.data(".rodata", b"OpenSSL 3.0.17 1 Jul\0ssl/ssl_lib.cc\0/rustls-0.23.1/\0".to_vec()).build(),
        go(0xffff_fff1, "go1.27.3"),
        go(0xffff_fffa, "go1.16"),
        go(0xffff_fffb, "go1.10"),
        Made::arm64(&[0xd65f_03c0; 32]).symbol("PR_Read", 0, 64).build(),
    ]
}

#[test]
fn a_file_may_end_anywhere() {
    for seed in seeds() {
        for len in (0..seed.len()).step_by(7) {
            look(&seed[..len]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        look(&bytes);
        let start = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0";
        if bytes.len() > start.len() {
            bytes[..start.len()].copy_from_slice(start);
            look(&bytes);
        }
    }

    #[test]
    fn any_field_may_lie(
        which in 0..5_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 8]>(), 1..9_usize), 1..6),
        in_headers in any::<bool>(),
    ) {
        let mut file = seeds().swap_remove(which);
        for (at, bytes, len) in changes {
            // The headers are at the beginning, and the tables at the end.
            let range = if in_headers { 176 } else { file.len() };
            let at = at.index(range);
            let end = (at + len).min(file.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
        }
        look(&file);
    }

    #[test]
    fn tables_may_claim_any_size(which in 0..5_usize, field in 0..64_usize, value in any::<u64>()) {
        let mut file = seeds().swap_remove(which);
        let headers = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
        let at = headers + field * 8;
        if at + 8 <= file.len() {
            file[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        look(&file);
    }
}
