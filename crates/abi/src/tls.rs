//! The plaintext of TLS as it lies in its ring, and what the probes remember.

use crate::Counter;

/// Most plaintext bytes of one record.
pub const TLS_CHUNK: u32 = 65_536;

/// Most plaintext bytes copied of one call, whatever the budget.
pub const TLS_CALL: u32 = 129 * TLS_CHUNK;

/// Values of [`TlsHeader::event`].
pub mod tls_event {
    /// Plaintext, or a part of a stream that was not copied.
    pub const DATA: u8 = 0;
    /// The library has freed the connection.
    pub const CLOSED: u8 = 1;
    /// A process runs another program.
    pub const EXEC: u8 = 2;
    /// A process has ended.
    pub const EXIT: u8 = 3;
    /// The dynamic linker of a process has mapped libraries.
    pub const LINKED: u8 = 4;
    /// A secret of a connection: a [`TlsSecret`](super::TlsSecret) follows.
    pub const SECRET: u8 = 7;
    /// How a call of a function looked whose way of calling is not sure, see `TlsTrace`.
    pub const TRACE: u8 = 5;
    /// The socket of a connection is known, whose plaintext was sent without: no plaintext comes with it.
    /// `conn` is how it is called from now on, `handle` how it was called before, and `pos` is to be added
    /// to the positions of what was written so far.
    pub const ROUTE: u8 = 6;
}

/// Values of [`TlsHeader::method`]: how the socket of a connection was found.
pub mod tls_method {
    /// It was not.
    pub const UNKNOWN: u8 = 0;
    /// By input or output on it inside a call of the library.
    pub const NESTED: u8 = 1;
    /// By the descriptor that the program gave the library.
    pub const DESCRIPTOR: u8 = 2;
    /// By the connection's structure in the program's memory.
    pub const STRUCTURE: u8 = 3;
    /// By input on it in the same thread right before the library was called: programs that carry the
    /// bytes to the library themselves.
    pub const ADJACENT: u8 = 4;
}

/// Bits of [`TlsHeader::flags`].
pub mod tls_flags {
    /// The connection was watched from its beginning, so that positions count from its first byte.
    pub const FRESH: u8 = 1;
    /// Part of the call was not copied: beyond the budget of a call, shed, or unreadable.
    pub const CUT: u8 = 2;
    /// The function was found by a guess, or its way of calling was: to be checked before the plaintext
    /// is believed. `TlsHeader::code` says which function it was.
    pub const TRIAL: u8 = 4;
}

/// Head of a record in the TLS ring; `captured` bytes of plaintext follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsHeader {
    /// CLOCK_BOOTTIME in nanoseconds: when a call that writes began, when one that reads returned.
    pub time_ns: u64,
    /// Name of the connection, unique within its process.
    pub conn: u64,
    /// What the library calls the connection: an address in the process.
    pub handle: u64,
    /// Offset of the record's first byte in the plaintext of its direction, as far as it was watched.
    pub pos: u64,
    /// Cgroup-v2 id of the process.
    pub cgroup_id: u64,
    /// Local address as in `FlowKey`; zero when the socket is not known.
    pub local: [u64; 2],
    /// Remote address.
    pub remote: [u64; 2],
    /// Process (thread group).
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// Bytes of plaintext that the record stands for; of those behind `captured` there is no copy.
    pub len: u32,
    /// Bytes that follow.
    pub captured: u32,
    /// Name of the flow's entry in the flow table; 0 when there is none.
    pub flow_id: u32,
    /// Ring that the flow's packets go to.
    pub ring: u32,
    /// See `PacketHeader::netns`.
    pub netns: u32,
    /// With [`tls_flags::TRIAL`], and in traces: the low 32 bits of the address of the function's first
    /// instruction. Else zero.
    pub code: u32,
    /// Local port.
    pub local_port: u16,
    /// Remote port; 0 when the socket is not known.
    pub remote_port: u16,
    /// See [`tls_event`].
    pub event: u8,
    /// See `direction`: whether the process received or sent it.
    pub direction: u8,
    /// See [`tls_method`].
    pub method: u8,
    /// See [`tls_flags`].
    pub flags: u8,
}

impl TlsHeader {
    /// Length of the header in a ring.
    pub const LEN: usize = 112;

    /// Takes a ring record apart: the header, and the plaintext. `None` when it is shorter than it says.
    pub fn parse(record: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = record.split_first_chunk::<{ Self::LEN }>()?;
        let u64_at = |at: usize| head.get(at..).and_then(|s| s.first_chunk()).map(|b| u64::from_ne_bytes(*b));
        let u32_at = |at: usize| head.get(at..).and_then(|s| s.first_chunk()).map(|b| u32::from_ne_bytes(*b));
        let u16_at = |at: usize| head.get(at..).and_then(|s| s.first_chunk()).map(|b| u16::from_ne_bytes(*b));
        let header = Self {
            time_ns: u64_at(0)?,
            conn: u64_at(8)?,
            handle: u64_at(16)?,
            pos: u64_at(24)?,
            cgroup_id: u64_at(32)?,
            local: [u64_at(40)?, u64_at(48)?],
            remote: [u64_at(56)?, u64_at(64)?],
            tgid: u32_at(72)?,
            tid: u32_at(76)?,
            len: u32_at(80)?,
            captured: u32_at(84)?,
            flow_id: u32_at(88)?,
            ring: u32_at(92)?,
            netns: u32_at(96)?,
            code: u32_at(100)?,
            local_port: u16_at(104)?,
            remote_port: u16_at(106)?,
            event: head[108],
            direction: head[109],
            method: head[110],
            flags: head[111],
        };
        Some((header, rest.get(..header.captured as usize)?))
    }
}

const _: () = assert!(size_of::<TlsHeader>() == TlsHeader::LEN);

/// A secret for key logs, as a library handed it to its key log.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsSecret {
    /// The client's random.
    pub random: [u8; 32],
    /// What it is, ended by a zero: `CLIENT_RANDOM`, `SERVER_TRAFFIC_SECRET_0`.
    pub label: [u8; 40],
    /// The secret.
    pub secret: [u8; 64],
    /// Bytes of it.
    pub len: u32,
}

impl TlsSecret {
    /// Its length in a ring.
    pub const LEN: usize = 140;

    /// Takes what follows a header apart: the client's random, the label, and the secret. `None` when it
    /// is shorter than it says, or when the label does not end.
    pub fn parse(data: &[u8]) -> Option<(&[u8; 32], &[u8], &[u8])> {
        let (random, rest) = data.split_first_chunk()?;
        let (label, rest) = rest.split_at_checked(40)?;
        let (secret, rest) = rest.split_at_checked(64)?;
        let len = u32::from_ne_bytes(*rest.first_chunk()?);
        let end = label.iter().position(|b| *b == 0)?;
        Some((random, label.get(..end)?, secret.get(..len as usize)?))
    }
}

const _: () = assert!(size_of::<TlsSecret>() == TlsSecret::LEN);

/// How a call of a function on trial looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsTrace {
    /// See [`TlsHeader::code`].
    pub code: u32,
    /// Process.
    pub tgid: u32,
    /// What would be the connection.
    pub handle: u64,
    /// The first words of it; all zero when they could not be read, or are not looked at.
    pub head: [u64; 4],
    /// Bytes that the caller offered or had room for.
    pub asked: u32,
    /// What the function returned.
    pub returned: i64,
    /// See `direction`.
    pub direction: u8,
    /// See [`tls_method`]: input or output in the call, or right before it.
    pub method: u8,
}

impl TlsTrace {
    /// The record that carries it.
    pub fn header(&self, time_ns: u64) -> TlsHeader {
        TlsHeader {
            time_ns,
            conn: 0,
            handle: self.handle,
            pos: self.returned as u64,
            cgroup_id: 0,
            local: [self.head[0], self.head[1]],
            remote: [self.head[2], self.head[3]],
            tgid: self.tgid,
            tid: 0,
            len: self.asked,
            captured: 0,
            flow_id: 0,
            ring: 0,
            netns: 0,
            code: self.code,
            local_port: 0,
            remote_port: 0,
            event: tls_event::TRACE,
            direction: self.direction,
            method: self.method,
            flags: 0,
        }
    }

    /// What a record carries; `None` when it is another one.
    pub fn of(header: &TlsHeader) -> Option<Self> {
        (header.event == tls_event::TRACE).then_some(Self {
            code: header.code,
            tgid: header.tgid,
            handle: header.handle,
            head: [header.local[0], header.local[1], header.remote[0], header.remote[1]],
            asked: header.len,
            returned: header.pos as i64,
            direction: header.direction,
            method: header.method,
        })
    }
}

/// Key of the connections: what a library calls one, in a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsConnKey {
    /// Address of the library's structure.
    pub handle: u64,
    /// Process (thread group).
    pub tgid: u32,
    /// Always zero.
    pub pad: u32,
}

/// A connection of a library.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TlsConn {
    /// See [`TlsHeader::conn`].
    pub id: u64,
    /// Address of its `struct sock`; 0 when it is not known.
    pub sk: u64,
    /// Local and remote address.
    pub addr: [[u64; 2]; 2],
    /// Bytes of plaintext received and sent.
    pub pos: [u64; 2],
    /// 24 bits of the cookie of the socket's network namespace.
    pub netns: u32,
    /// Descriptor that the program gave the library; -1 without one.
    pub fd: i32,
    /// Local and remote port.
    pub port: [u16; 2],
    /// See [`tls_method`].
    pub method: u8,
    /// See [`tls_flags`].
    pub flags: u8,
    /// Traces of calls that were sent, see [`TlsTrace`].
    pub traces: u8,
    /// 1: the program has closed it while calls on it were under way, the last of which ends it.
    pub closing: u8,
    /// Calls on it that have not returned, of libraries that let it be closed meanwhile.
    pub calls: u64,
    /// The time of the last record of what was sent on it: those of several threads keep the order in
    /// which they returned.
    pub sent_ns: u64,
}

const _: () = assert!(size_of::<TlsConn>() == 96);

/// What became of plaintext. The discriminants index the map `TLS_COUNTERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum TlsReason {
    /// Written to the ring.
    Captured = 0,
    /// Lost: the ring had no room.
    RingFull = 1,
    /// Lost: the ring was filling up, so that only positions were noted.
    Shed = 2,
    /// Lost: the process's memory could not be read.
    Unreadable = 3,
    /// Left out: beyond the budget of one call.
    Budget = 4,
    /// Left out: the flow is not captured.
    Policy = 5,
    /// Not seen: the library sent a file.
    File = 6,
    /// Not seen: calls within calls, deeper than is remembered.
    Nested = 7,
    /// Not seen: a table was full.
    TableFull = 8,
}

impl TlsReason {
    /// How many there are.
    pub const COUNT: u32 = 9;

    /// All of them, by index.
    pub const ALL: [Self; Self::COUNT as usize] = [
        Self::Captured,
        Self::RingFull,
        Self::Shed,
        Self::Unreadable,
        Self::Budget,
        Self::Policy,
        Self::File,
        Self::Nested,
        Self::TableFull,
    ];

    /// The name that coverage rows and metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Captured => "plaintext",
            Self::RingFull => "ring_full",
            Self::Shed => "shed",
            Self::Unreadable => "unreadable",
            Self::Budget => "call_budget",
            Self::Policy => "policy",
            Self::File => "sendfile",
            Self::Nested => "nested_calls",
            Self::TableFull => "table_full",
        }
    }
}

/// Counters of the probes, by [`TlsReason`]: calls in `packets`.
pub type TlsCounter = Counter;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_records_are_refused() {
        let mut record = [0_u8; TlsHeader::LEN + 4];
        record[84] = 4;
        record[108] = tls_event::CLOSED;
        let (header, data) = TlsHeader::parse(&record).unwrap_or_default();
        assert_eq!((header.captured, header.event, data.len()), (4, tls_event::CLOSED, 4));
        record[84] = 5;
        assert_eq!(TlsHeader::parse(&record), None);
        assert_eq!(TlsHeader::parse(&record[..TlsHeader::LEN - 1]), None);
    }

    #[test]
    fn secrets_are_taken_apart() {
        let mut data = [0_u8; TlsSecret::LEN];
        data[0] = 7;
        data[32..45].copy_from_slice(b"CLIENT_RANDOM");
        data[72] = 9;
        data[136] = 2;
        let (random, label, secret) = TlsSecret::parse(&data).unwrap();
        assert_eq!((random[0], label, secret), (7, b"CLIENT_RANDOM".as_slice(), [9, 0].as_slice()));
        data[136] = 65;
        assert_eq!(TlsSecret::parse(&data), None);
        data[136] = 2;
        data[32..72].fill(b'A');
        assert_eq!(TlsSecret::parse(&data), None);
        assert_eq!(TlsSecret::parse(&data[..139]), None);
    }

    #[test]
    fn traces_go_through_records() {
        let trace = TlsTrace {
            code: 1,
            tgid: 2,
            handle: 3,
            head: [4, 5, 6, 7],
            asked: 8,
            returned: -9,
            direction: 1,
            method: tls_method::ADJACENT,
        };
        let header = trace.header(11);
        assert_eq!((TlsTrace::of(&header), header.time_ns), (Some(trace), 11));
        assert_eq!(TlsTrace::of(&TlsHeader { event: tls_event::DATA, ..header }), None);
    }
}
