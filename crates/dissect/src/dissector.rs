//! The interface that every protocol implements.

use remora_model::{Call, CaptureSource, Endpoint, FlowId, Protocol, Timestamp, Transport};

use crate::detect::Entry;
use crate::engine::nested::Within;
use crate::seen::Seen;
use crate::{Limits, Problem, Sink};

/// Which side of the connection sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that asks.
    Client,
    /// The side that answers.
    Server,
}

impl Role {
    /// The other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// 0 for the client and 1 for the server, to index per-side state.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What a dissector did with the bytes it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is done with that many bytes from the front; the rest is shown again, with more behind
    /// it, when more has arrived. 0 means that the message is not complete yet.
    Bytes(usize),
    /// It is done with everything it was shown and does not want to see the next `n` bytes
    /// either, such as the rest of a body beyond the payload limit. The engine counts them off,
    /// whether they arrive or are missing, and then calls [`Dissector::skipped`]. `u64::MAX`
    /// means all that will ever come: the rest of the stream is of no interest.
    AndSkip(u64),
    /// It is done with that many bytes, and what follows in *both* directions is another protocol:
    /// TLS after `STARTTLS` or PostgreSQL's `SSLRequest`, whatever a proxy tunnels after `CONNECT`.
    /// The engine ends this dissector and looks anew at what the streams carry. A side that has asked
    /// for such a change must not be read on before its answer was seen: `Bytes(0)` makes the bytes
    /// wait. Of datagrams it means nothing.
    Handover(usize),
}

/// How a direction of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An orderly end (FIN).
    Closed,
    /// A reset, from either side.
    Reset,
    /// The capture stopped, the flow was idle for too long, or its budget ran out.
    Lost,
}

/// What a dissector may know and do while it looks at bytes.
pub struct Context<'a> {
    /// The flow being read.
    pub flow: FlowId,
    /// What carries it.
    pub transport: Transport,
    /// The side that asks.
    pub client: Endpoint,
    /// The side that answers.
    pub server: Endpoint,
    /// Where the bytes come from.
    pub source: CaptureSource,
    /// Budgets.
    pub limits: &'a Limits,
    /// What is read is the plaintext of TLS.
    pub tls: bool,
    /// Offset in the sender's stream of the first byte being shown, counted from the first byte
    /// that was captured of that stream.
    pub pos: u64,
    /// The protocols that are looked for.
    pub(crate) registry: &'static [Entry],
    /// Where it stands, for what carries other protocols.
    pub(crate) within: Within<'a>,
    /// What has come of the flow while this context was lent.
    pub(crate) tally: Tally,
    pub(crate) times: Times<'a>,
    pub(crate) sink: &'a mut dyn Sink,
}

/// Arrival times of the bytes being shown: ascending offsets into them, each with the time from
/// which it holds. Never empty.
#[derive(Clone, Copy)]
pub(crate) struct Times<'a>(pub(crate) &'a [(usize, Timestamp)]);

/// What a dissector has made of what it was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Calls reported.
    pub(crate) calls: u32,
    /// Times that bytes did not fit the protocol.
    pub(crate) faults: u32,
}

impl Context<'_> {
    /// When the byte at `offset` of the shown bytes arrived; past their end, when the last did.
    pub fn time_at(&self, offset: usize) -> Timestamp {
        let times = self.times.0;
        let i = times.partition_point(|&(from, _)| from <= offset);
        times.get(i.saturating_sub(1)).map_or(Timestamp(0), |&(_, t)| t)
    }

    /// Hands over a finished call.
    pub fn emit(&mut self, call: &Call<'_>) {
        self.tally.calls = self.tally.calls.saturating_add(1);
        self.sink.call(call);
    }

    /// Counts something that could not be understood.
    pub fn problem(&mut self, problem: Problem, bytes: u64) {
        if problem == Problem::Malformed {
            self.tally.faults = self.tally.faults.saturating_add(1);
        }
        self.sink.problem(problem, bytes);
    }

    /// A call of `protocol` of which nothing is known but where and when its messages were seen:
    /// what is special about it is filled in with `Call { failed, fields, ..cx.exchange(..) }`.
    pub(crate) fn exchange<'c>(
        &self,
        protocol: Protocol,
        asked: Option<Seen>,
        answered: Option<Seen>,
    ) -> Call<'c> {
        let both = asked.zip(answered);
        Call {
            protocol,
            transport: self.transport,
            flow: self.flow,
            client: self.client,
            server: self.server,
            ts: asked.or(answered).unwrap_or_default().first,
            elapsed_us: both.map(|(q, a)| a.first.micros_since(q.last).max(0)),
            ttlb_us: both.map(|(q, a)| a.last.micros_since(q.first).max(0)),
            request_bytes: asked.map(|s| s.bytes),
            response_bytes: answered.map(|s| s.bytes),
            request_pos: asked.map(|s| s.pos),
            response_pos: answered.map(|s| s.pos),
            failed: false,
            client_error: false,
            incomplete: None,
            tls: self.tls,
            source: self.source,
            fields: &[],
        }
    }
}

/// Reads the messages of one protocol from the two byte streams of one flow.
///
/// For a stream transport the engine shows each side's bytes in order, without repetitions. For
/// datagrams each call of [`data`](Self::data) shows one whole datagram, and what is returned is
/// ignored.
pub trait Dissector: Send {
    /// Looks at `bytes` from `role`: all that has arrived and was not taken yet.
    ///
    /// Must make progress in the end: the engine gives up on a message for which more than
    /// [`Limits::message_bytes`] are waiting, and then calls [`gap`](Self::gap) for them.
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken;

    /// Told before the first bytes of a stream that does not begin with its first byte: `passed`
    /// bytes of it were passed over since the capture began, because no message begins in them. What
    /// was said before that is unknown, in both directions. True: it looks for the beginning of a
    /// message itself. Else the engine does.
    fn joined(&mut self, role: Role, passed: u64) -> bool {
        let _ = (role, passed);
        false
    }

    /// `len` bytes from `role` are missing at this point of its stream. Bytes shown before but
    /// not taken are gone as well. The next bytes may begin anywhere in a message.
    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>);

    /// The bytes asked for by [`Taken::AndSkip`] have passed; `missing` of them were never
    /// captured, the others were.
    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>);

    /// Asked right after [`gap`](Self::gap): is it known where in a message the stream stands, as
    /// in a body of known length that reaches beyond the gap? If so the next bytes are shown as
    /// they come. If not, the engine looks for the beginning of a message with
    /// [`Entry::resync`](crate::detect::Entry::resync), reports what it passed over as another
    /// gap, and shows the bytes from there.
    fn in_sync(&self, role: Role) -> bool {
        let _ = role;
        false
    }

    /// Nothing more will come from `role`. `rest` is what had been shown and not taken.
    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>);

    /// Time has passed without traffic: report what has waited too long. Called now and then with
    /// the capture's time, never with the clock of the machine, while
    /// [`awaits_time`](Self::awaits_time).
    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        let _ = (now, cx);
    }

    /// True while [`tick`](Self::tick) may do something, now or later. Flows of which this is not true cost
    /// nothing while they are silent.
    fn awaits_time(&self) -> bool {
        false
    }

    /// Name of the protocol that was found inside this one, such as in the plaintext of TLS.
    fn inside(&self) -> Option<&'static str> {
        None
    }

    /// True while a request is open or a message is half read. The engine sheds idle flows first.
    fn is_busy(&self) -> bool;

    /// Bytes of memory that it holds, for the budgets.
    fn memory(&self) -> usize;
}
