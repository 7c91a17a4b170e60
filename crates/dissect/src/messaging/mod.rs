//! What the dissectors of message brokers share: bytes of messages that wait, and how they are
//! handed over. AMQP, MQTT and NATS use it.

mod arena;
mod queue;
mod reader;

pub(crate) use arena::{Arena, MAX_PAIRS, Pair, add_pair};
pub(crate) use queue::{Held, Queue};
pub(crate) use reader::Reader;

use remora_model::{Call, FieldId, Pairs, Protocol, ValueRef};

use crate::fields::Fields;
use crate::{Context, seen::Seen};

/// Which side asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The client: the time of the call is that of its message.
    Client,
    /// The server, and what the client said is the answer: times are the other way round.
    Server,
}

/// A call of `client`'s bytes and `server`'s, with the times as `asker` makes them.
pub(crate) fn call<'a>(
    protocol: Protocol,
    asker: Asker,
    client: Option<Seen>,
    server: Option<Seen>,
    cx: &Context<'_>,
) -> Call<'a> {
    let call = cx.exchange(protocol, client, server);
    match (asker, client, server) {
        (Asker::Server, Some(c), Some(s)) => Call {
            ts: s.first,
            elapsed_us: Some(c.first.micros_since(s.last).max(0)),
            ttlb_us: Some(c.last.micros_since(s.first).max(0)),
            ..call
        },
        _ => call,
    }
}

/// Adds pairs that lie in an arena, if there are any.
pub(crate) fn pairs<'a, const N: usize>(
    fields: &mut Fields<'a, N>,
    id: FieldId,
    arena: &'a Arena,
    spans: &'a [Pair],
) {
    if !spans.is_empty() {
        fields.add(id, ValueRef::Pairs(Pairs { text: arena.text(), spans }));
    }
}
