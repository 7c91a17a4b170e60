//! The conversations in a capture: what each side of each connection said, in order. For captures
//! made on loopback, without losses: segments are taken as they come, repeated ones once.

use std::collections::BTreeMap;
use std::path::Path;

use remora_dissect::Role;
use remora_dissect::file::CaptureFile;

/// Something that one side said at a time, in microseconds.
#[derive(Clone, Debug)]
pub struct Said {
    pub role: Role,
    pub at: i64,
    pub bytes: Vec<u8>,
}

/// The conversations with a server on `port`, by the client's port.
pub fn conversations(file: &Path, port: u16) -> BTreeMap<u16, Vec<Said>> {
    let bytes = std::fs::read(file).unwrap();
    let mut capture = CaptureFile::new(&bytes[..]).unwrap();
    let mut all: BTreeMap<u16, Vec<Said>> = BTreeMap::new();
    let mut first = None;
    let mut next: BTreeMap<(u16, u16), u32> = BTreeMap::new();
    while let Some(frame) = capture.next_frame().unwrap() {
        let ip = &frame.bytes[14..];
        let (header, len) = (usize::from(ip[0] & 15) * 4, usize::from(u16::from_be_bytes([ip[2], ip[3]])));
        let tcp = &ip[header..len];
        let [from, to] = [0, 2].map(|i| u16::from_be_bytes([tcp[i], tcp[i + 1]]));
        let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
        if payload.is_empty() {
            continue;
        }
        let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let end = seq.wrapping_add(u32::try_from(payload.len()).unwrap());
        if next.get(&(from, to)).is_some_and(|n| (end.wrapping_sub(*n)).cast_signed() <= 0) {
            continue;
        }
        next.insert((from, to), end);
        let (role, client) = if to == port { (Role::Client, from) } else { (Role::Server, to) };
        let at = (frame.ts.0 - *first.get_or_insert(frame.ts.0)) / 1_000;
        all.entry(client).or_default().push(Said { role, at, bytes: payload.to_vec() });
    }
    assert!(!all.is_empty(), "{}", file.display());
    all
}
