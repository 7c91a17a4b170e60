//! The head of a PUBLISH: what stands in front of its payload (section 3.3).

use super::packet::Packet;
use super::properties;
use crate::messaging::Reader;

/// Bytes of a payload that are looked at to tell whether it is text.
const LOOK_AT: usize = 16;

/// What could be read of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// All of it: so many bytes.
    Bytes(usize),
    More,
    Fault,
}

/// Reads the head from `bytes`, which are those of the packet's `size` that have arrived. Of a
/// packet whose version is not known it also tells which it is likely to be.
pub(super) fn read(packet: &mut Packet, bytes: &[u8], size: usize) -> Head {
    let bytes = bytes.get(..bytes.len().min(size)).unwrap_or_default();
    let missing = if bytes.len() < size { Head::More } else { Head::Fault };
    let mut r = Reader::new(bytes);
    let Some(topic) = r.medium() else { return missing };
    // Topics have no wildcards and no zeros (section 4.7.1).
    if topic.iter().any(|b| matches!(b, b'#' | b'+' | 0)) {
        return Head::Fault;
    }
    if packet.qos != Some(0) {
        let Some(id) = r.u16() else { return missing };
        packet.id = Some(id);
    }
    let version = match packet.version {
        0 => match guess(r, size - (bytes.len() - r.rest().len())) {
            Some(0) => {
                // Where the payload begins is not known.
                packet.budget = 0;
                4
            }
            Some(version) => version,
            None => return missing,
        },
        known => known,
    };
    if version == 5 {
        let Some(block) = properties::block(&mut r) else { return missing };
        packet.topic = Some(packet.arena.add(topic));
        if packet.take_properties(block).is_none() {
            return Head::Fault;
        }
    } else {
        packet.topic = Some(packet.arena.add(topic));
    }
    Head::Bytes(bytes.len() - r.rest().len())
}

/// Which version a PUBLISH has whose next `left` bytes are payload, or properties of MQTT 5 and then
/// payload; 0 where both can be. `None`: more bytes will tell.
fn guess(mut r: Reader<'_>, left: usize) -> Option<u8> {
    let here = r.rest().len();
    let Some(size) = properties::varint(&mut r) else {
        return if here < 4 && here < left { None } else { Some(4) };
    };
    let size = size as usize;
    if size > left.saturating_sub(here - r.rest().len()) {
        return Some(4);
    }
    let block = r.take(size)?;
    if size > 0 {
        return Some(if properties::are_properties(block) { 5 } else { 4 });
    }
    // A zero: no properties, or a payload that begins with one, which text does not.
    let begin = left.saturating_sub(1).min(LOOK_AT);
    let is_text = |b: &u8| *b >= b' ' || matches!(b, b'\t' | b'\n' | b'\r');
    Some(if r.take(begin)?.iter().all(is_text) { 5 } else { 0 })
}
