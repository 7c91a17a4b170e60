//! Messages of ICMP between two hosts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::icmp;
use remora_model::Transport;

fuzz_target!(|data: &[u8]| remora_fuzz::run(&icmp::ENTRY, Transport::Icmp, data));
