//! Arbitrary bytes as a segment of the packet ring and its index: nothing may panic, and what is read is
//! found again when it is read without the index.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_ring::inspect;

fuzz_target!(|data: &[u8]| {
    // The length of the index, the index, the segment.
    let Some((len, rest)) = data.split_first_chunk() else { return };
    let len = usize::from(u16::from_le_bytes(*len));
    let (index, segment) = rest.split_at(len.min(rest.len()));
    let with = inspect(segment, index);
    assert!(with.blocks.len() <= (with.packets as usize) * (segment.len() + 48));
    let without = inspect(segment, &[]);
    assert!(!without.index_used && without.whole <= segment.len() as u64);
    // An index that was made of the segment names nothing that is not there.
    assert_eq!(without.damaged, 0);
    // What is whole is whole by itself.
    if let Some(whole) = segment.get(..without.whole as usize) {
        assert_eq!(inspect(whole, &[]), without);
    }
});
