//! Content headers: properties of a message (AMQP 0-9-1, sections 1.8.3 and 4.2.6.1).

use super::message::Message;
use super::table;
use crate::messaging::{Reader, add_pair};

/// Names of the properties, the highest bit of their flags first.
const PROPERTIES: [&str; 14] = [
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
];

/// Reads a content header's payload into the message that it belongs to. `None`: it is none.
pub(super) fn read(payload: &[u8], message: &mut Message) -> Option<()> {
    let mut r = Reader::new(payload);
    let (class, _weight, size) = (r.u16()?, r.u16()?, r.u64()?);
    if class != 60 {
        return None;
    }
    let mut flags = r.u16()?;
    let first = flags;
    // The lowest bit says that more flags follow, which no property needs.
    while flags & 1 != 0 {
        flags = r.u16()?;
    }
    message.content.size = size;
    message.content.left = size;
    message.content.begun = true;
    let Message { arena, content, left_out, .. } = message;
    for (i, name) in PROPERTIES.iter().enumerate() {
        if first >> (15 - i) & 1 == 0 {
            continue;
        }
        match *name {
            "headers" => *left_out += table::read(r.long()?, arena, &mut content.headers)?,
            "delivery_mode" | "priority" | "timestamp" => {
                let n = if *name == "timestamp" { r.u64()? } else { u64::from(r.u8()?) };
                let key = arena.add(name.as_bytes());
                let mark = arena.mark();
                arena.push_int(i64::try_from(n).unwrap_or(i64::MAX));
                content.properties.push([key, arena.since(mark)]);
            }
            _ => {
                add_pair(arena, &mut content.properties, name.as_bytes(), r.short()?);
            }
        }
    }
    r.is_empty().then_some(())
}

/// True when the payload can be a content header, as far as the fixed part goes.
pub(super) fn is_header(payload: &[u8]) -> bool {
    let mut r = Reader::new(payload);
    matches!((r.u16(), r.u16(), r.u64(), r.u16()), (Some(60), Some(0), Some(size), Some(flags))
        if size < 1 << 48 && flags & 3 == 0)
}
