//! Pieces of both streams of a TLS connection, damaged and with gaps, with the secrets of the
//! connections in the seeds; and the same as datagrams of QUIC.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::tls::{ENTRY, Secrets};
use remora_model::Transport;

const KEYS: [&[u8]; 2] = [
    include_bytes!("../../crates/dissect/tests/corpus/tlsx/tls13.keys"),
    include_bytes!("../../crates/dissect/tests/corpus/tlsx/tls12.keys"),
];

fuzz_target!(|data: &[u8]| {
    let mut secrets = Secrets::default();
    // The beginning of the data is a key log as well: whatever it says must do no harm.
    secrets.add_key_log(data);
    for keys in KEYS {
        secrets.add_key_log(keys);
    }
    remora_fuzz::run_with(&ENTRY, Transport::Tcp, secrets, data);
    remora_fuzz::datagrams(&ENTRY, data);
});
