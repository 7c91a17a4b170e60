//! What was captured in a window, and what was not: the block that makes an empty answer mean
//! something.

use schemars::JsonSchema;
use serde::Serialize;

use super::opaque::Opaque;

/// Coverage of a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Coverage {
    /// True when every node watched for the whole window and lost nothing.
    pub complete: bool,
    /// One sentence that says it.
    pub summary: String,
    /// What each node saw.
    pub nodes: Vec<NodeCoverage>,
    /// What was lost, by place and reason.
    pub lost: Vec<Loss>,
    /// TLS connections that were captured and not read in plaintext.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque: Option<Opaque>,
}

/// What one node saw in a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct NodeCoverage {
    /// Its name.
    pub node: String,
    /// First instant in the window at which it watched, RFC 3339.
    pub from: String,
    /// Last instant in the window at which it is known to have watched, RFC 3339: the present as
    /// long as its agent is connected and reports.
    pub to: String,
    /// Packets captured.
    pub packets: i64,
    /// Bytes captured.
    pub bytes: i64,
}

/// One kind of loss.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Loss {
    /// Node that counted it.
    pub node: String,
    /// Where: kernel, ring, packet, reassembly, flow, dissect, ship, raw or store.
    pub stage: String,
    /// Why, for example ring_full or gap.
    pub reason: String,
    /// How often.
    pub count: i64,
    /// How many bytes it concerned; 0 where that is not known.
    pub bytes: i64,
}

/// Reasons that are worth knowing but lose nothing that was asked for.
const HARMLESS: &[(&str, &str)] = &[
    ("kernel", "policy"),
    ("kernel", "own_traffic"),
    ("kernel", "sampled"),
    ("kernel", "shunted"),
    ("kernel", "no_payload"),
    ("kernel", "seen_elsewhere"),
    ("kernel", "not_ip"),
    ("packet", "not_ip"),
    ("packet", "other_transport"),
    ("flow", "process_filter"),
    ("tls", "policy"),
    ("tls", "call_budget"),
    ("tls", "plaintext_twice"),
    // The encrypted half of what is read in plaintext; what is not is in `opaque`.
    ("tls", "encrypted"),
    ("dissect", "unknown_protocol"),
    ("dissect", "payload_limit"),
    ("dissect", "opaque"),
];

impl Loss {
    /// True when data that was asked for is missing because of it. What the packet ring does not keep
    /// is missing in exports, not among calls.
    pub fn is_loss(&self) -> bool {
        self.stage != "raw" && !HARMLESS.contains(&(self.stage.as_str(), self.reason.as_str()))
    }
}
