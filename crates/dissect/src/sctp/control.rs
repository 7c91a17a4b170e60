//! Calls about an association itself.

use remora_model::{Call, Incomplete, Protocol, Timestamp, ValueRef, field};

use super::chunk::{self, Chunk, kind};
use crate::Context;
use crate::dissector::Role;
use crate::fields::Fields;
use crate::packet::SctpPacket;
use crate::seen::Seen;

/// What is kept of a chunk that asks for an answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    role: Role,
    seen: Seen,
    checksum: u32,
    len: u16,
}

/// Setting up and shutting down.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Control {
    /// Something was seen of the association before.
    begun: bool,
    init: Option<Asked>,
    shutdown: Option<Asked>,
}

/// What a chunk did to the association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// It is over, in order.
    Shut,
    /// It was aborted.
    Aborted,
}

impl Control {
    /// Takes a chunk that carries no user data.
    pub(crate) fn take(
        &mut self,
        role: Role,
        packet: &SctpPacket<'_>,
        chunk: &Chunk<'_>,
        ts: Timestamp,
        cx: &mut Context<'_>,
    ) -> Effect {
        let seen = Seen { first: ts, last: ts, bytes: i64::from(chunk.len), pos: 0 };
        let asked = Asked { role, seen, checksum: packet.checksum, len: chunk.len };
        let is_answer = |a: &Asked| a.role != role || cx.client == cx.server;
        let is_first = !std::mem::replace(&mut self.begun, true);
        match chunk.kind {
            kind::INIT => {
                self.init.get_or_insert(asked);
            }
            kind::INIT_ACK => {
                if let Some(init) = self.init.take_if(|a| is_answer(a)) {
                    report(kind::INIT, &init, Some(seen), None, None, cx);
                }
            }
            kind::SHUTDOWN => {
                self.shutdown.get_or_insert(asked);
            }
            kind::SHUTDOWN_ACK => {
                if let Some(shutdown) = self.shutdown.take_if(|a| is_answer(a)) {
                    report(kind::SHUTDOWN, &shutdown, Some(seen), None, None, cx);
                }
            }
            kind::SHUTDOWN_COMPLETE => return Effect::Shut,
            kind::ABORT => {
                let cause = chunk::cause(chunk.value).unwrap_or("aborted");
                match self.init.take_if(|a| is_answer(a)) {
                    Some(init) => report(kind::INIT, &init, Some(seen), Some(cause), None, cx),
                    // Whether it answers an INIT is not known.
                    None if is_first && serves(role, cx) => refused(role, seen, cause, cx),
                    None => report(kind::ABORT, &asked, None, Some(cause), None, cx),
                }
                return Effect::Aborted;
            }
            kind::ERROR => {
                let cause = chunk::cause(chunk.value).unwrap_or("error");
                report(kind::ERROR, &asked, None, Some(cause), None, cx);
            }
            _ => {}
        }
        Effect::None
    }

    /// User data was seen.
    pub(crate) fn went_on(&mut self) {
        self.begun = true;
    }

    /// Nothing more will come: reports what was not answered.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) {
        for (kind, asked) in [(kind::INIT, self.init.take()), (kind::SHUTDOWN, self.shutdown.take())] {
            if let Some(asked) = asked {
                report(kind, &asked, None, None, Some(Incomplete::NoResponse), cx);
            }
        }
    }
}

/// True for the side that by its port is a server.
fn serves(role: Role, cx: &Context<'_>) -> bool {
    let (server, client) = (cx.server.port, cx.client.port);
    if role == Role::Server { server < client } else { client < server }
}

/// Reports an ABORT of `role`, a server, that is the first thing that was seen of an association.
fn refused(role: Role, seen: Seen, cause: &'static str, cx: &mut Context<'_>) {
    let (client, server) = match role {
        Role::Server => (cx.client, cx.server),
        Role::Client => (cx.server, cx.client),
    };
    let mut fields = Fields::<1>::default();
    fields.text(field::SCTP_ERROR, Some(cause.as_bytes()));
    let call = Call {
        client,
        server,
        response_pos: None,
        failed: true,
        incomplete: Some(Incomplete::NoRequest),
        fields: fields.as_slice(),
        ..cx.exchange(Protocol::Sctp, None, Some(seen))
    };
    cx.emit(&call);
}

fn report(
    kind: u8,
    asked: &Asked,
    answered: Option<Seen>,
    error: Option<&'static str>,
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let mut fields = Fields::<4>::default();
    fields.text(field::SCTP_CHUNK_TYPE, chunk::name(kind).map(str::as_bytes));
    fields.add(field::SCTP_CHECKSUM, ValueRef::Int(i64::from(asked.checksum)));
    fields.add(field::SCTP_LENGTH, ValueRef::Int(i64::from(asked.len)));
    fields.text(field::SCTP_ERROR, error.map(str::as_bytes));
    let (client, server) = match asked.role {
        Role::Client => (cx.client, cx.server),
        Role::Server => (cx.server, cx.client),
    };
    let call = Call {
        client,
        server,
        request_pos: None,
        response_pos: None,
        failed: error.is_some(),
        incomplete,
        fields: fields.as_slice(),
        ..cx.exchange(Protocol::Sctp, Some(asked.seen), answered)
    };
    cx.emit(&call);
}
