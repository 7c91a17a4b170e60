//! TLS connections of a window whose plaintext nobody has read: what is in them no answer can tell.

use std::collections::BTreeMap;

use remora_kfl::Target;
use remora_model::{FieldId, Timestamp, field};
use remora_store::FlowsQuery;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::window::Window;
use super::{Query, QueryError, compile, json_rows};

/// A handshake was seen, and no protocol inside.
const UNREAD: &str = "\"tlsx\" in conn_l7_detected && size(conn_l7_detected) == 1";
/// Connections that are counted at most.
const MOST: usize = 1_000;
/// Servers that are named.
const NAMED: usize = 3;

const FIELDS: &[FieldId] =
    &[field::SRC_NAME, field::DST_NAME, field::DST_PORT, field::SRC_BYTES, field::DST_BYTES];

/// What was not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Opaque {
    /// Connections, up to 1000.
    pub connections: usize,
    /// Bytes of their IP packets.
    pub bytes: i64,
    /// The most frequent ones, as `client -> server:port`.
    pub examples: Vec<String>,
}

impl Opaque {
    /// A clause that says it.
    pub fn clause(&self) -> String {
        let more = if self.connections >= MOST { "or more " } else { "" };
        let connections = if self.connections == 1 { "connection was" } else { "connections were" };
        format!(
            "{} {more}TLS {connections} not read in plaintext ({} bytes; {}): `remora status --tls` tells why",
            self.connections,
            self.bytes,
            self.examples.join(", ")
        )
    }
}

impl Query {
    /// The TLS connections of a window that were not read; `None` when there are none.
    pub(super) async fn opaque(&self, window: Window, at: Timestamp) -> Result<Option<Opaque>, QueryError> {
        let query = FlowsQuery {
            filter: compile(UNREAD, Target::Flows, at)?,
            window: window.into(),
            as_of: at,
            limit: MOST,
            cursor: None,
            fields: Some(FIELDS.to_vec()),
        };
        let page = self.store.flows(&query).await?;
        let mut opaque = Opaque::default();
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        for row in json_rows(&page.rows, true) {
            let number = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or_default();
            let bytes = number("src.bytes").saturating_add(number("dst.bytes"));
            opaque.connections += 1;
            opaque.bytes = opaque.bytes.saturating_add(bytes);
            let name = |side: &str| row.get(side).and_then(Value::as_str).unwrap_or("?");
            let pair = format!("{} -> {}:{}", name("src.name"), name("dst.name"), number("dst.port"));
            *ends.entry(pair).or_default() += 1;
        }
        let mut ends: Vec<_> = ends.into_iter().collect();
        ends.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        opaque.examples = ends.into_iter().take(NAMED).map(|(pair, _)| pair).collect();
        Ok((opaque.connections > 0).then_some(opaque))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clause_is_one() {
        let opaque = Opaque { connections: 1, bytes: 20_000, examples: vec!["java -> shop:443".to_owned()] };
        assert_eq!(
            opaque.clause(),
            "1 TLS connection was not read in plaintext (20000 bytes; java -> shop:443): `remora status --tls` tells why"
        );
        assert!(compile(UNREAD, Target::Flows, Timestamp(0)).is_ok());
    }
}
