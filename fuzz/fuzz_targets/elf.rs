//! Arbitrary bytes as a program: nothing may panic, and the work is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_tlsfind::{Limits, Names, inspect_with};

fuzz_target!(|data: &[u8]| {
    let limits = Limits {
        read_bytes: 4 << 20,
        symbols: 4096,
        functions: 4096,
        instructions: 16 << 10,
        relocations: 4096,
        ..Limits::default()
    };
    for names in [Names::All, Names::None] {
        let report = inspect_with(&data, &limits, names);
        assert!(report.work.read_bytes <= limits.read_bytes);
        for point in report.codes.iter().flat_map(|code| &code.points) {
            assert!((point.entry as usize) < data.len());
            assert!(point.returns.iter().all(|at| (*at as usize) < data.len()));
        }
    }
});
