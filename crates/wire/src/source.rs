//! Who sends, and what arrives.

use std::fmt;

use remora_model::TableBatch;
use rustls::crypto::aws_lc_rs;

/// Names one sequence of batches. An agent makes a new one when it finds no spool on its disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpoolId(pub u128);

impl SpoolId {
    /// A name that nobody else has, from the system's random numbers.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        random(&mut bytes);
        Self(u128::from_be_bytes(bytes))
    }

    /// Reads 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if plain { u128::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
}

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fills `bytes` from the system's random numbers.
pub(crate) fn random(bytes: &mut [u8]) {
    // It fails only where the kernel has no random numbers at all; the time keeps names apart then.
    if aws_lc_rs::default_provider().secure_random.fill(bytes).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        for (b, t) in bytes.iter_mut().zip(now.as_nanos().to_le_bytes().iter().cycle()) {
            *b = *t;
        }
    }
}

/// The agent at the other end of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Names the agent for as long as its data directory lives.
    pub agent_id: String,
    /// Name of the node that it watches, the `node_name` of its rows.
    pub node: String,
    /// The sequence of batches that it sends.
    pub spool: SpoolId,
    /// This run of the agent: the upper bits of the ids of its calls and flows.
    pub run_id: u64,
    /// The lowest number that it can still send. Numbers below it which are not durable are lost.
    pub first_seq: u64,
    /// Version of its software.
    pub version: String,
    /// Address that it connects from; `None` for an agent in the same process.
    pub peer: Option<std::net::SocketAddr>,
}

/// A batch that arrived in order and for the first time.
#[derive(Clone, Debug)]
pub struct IncomingBatch {
    /// Its number in the spool, from 1.
    pub seq: u64,
    /// Numbers between the batch before and this one that the agent gave up.
    pub lost_before: u64,
    /// The rows, checked against [`remora_model::schema`]: every column has the name and type that
    /// the schema of its table and protocol gives it; columns may be missing.
    pub tables: Vec<TableBatch>,
    /// Encoded size on the wire, in bytes.
    pub wire_bytes: usize,
    /// Columns that this hub does not know and left out.
    pub unknown_columns: u64,
    /// Tables of this batch that could not be read, with the reason. They are lost: sending them
    /// again would not help.
    pub rejected: Vec<String>,
}
