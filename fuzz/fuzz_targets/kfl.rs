//! Arbitrary text as a filter: nothing may panic, every finding renders, and the normalised text of
//! what is accepted means the same and is its own normal form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_kfl::{Target, compile, explain, render_all};
use remora_model::Timestamp;

fuzz_target!(|text: &str| {
    for target in [Target::Calls, Target::Flows] {
        match compile(text, target, Timestamp(1_795_237_200_000_000_000)) {
            Ok(filter) => {
                let _ = (explain(&filter), render_all(&filter.warnings, text));
                let again =
                    compile(&filter.normalised, target, Timestamp(0)).expect("normalised text compiles");
                assert!(again.expr == filter.expr && again.normalised == filter.normalised);
            }
            Err(errors) => {
                assert!(!errors.is_empty());
                let _ = render_all(&errors, text);
            }
        }
    }
});
