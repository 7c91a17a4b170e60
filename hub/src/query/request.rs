//! Questions, as REST and MCP both take them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::render::Format;

/// Most rows of one page.
pub const MAX_LIMIT: u32 = 1_000;
/// Rows of a page when the question does not say.
pub const DEFAULT_LIMIT: u32 = 50;

/// Lists calls.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallsRequest {
    /// KFL filter, for example `http && status_code >= 500`. Empty: every call.
    #[serde(alias = "kfl")]
    pub filter: Option<String>,
    /// Start of the window: an age (`15m`, `2h`, `7d`), an RFC 3339 time, or `all`. Default 15m.
    pub since: Option<String>,
    /// End of the window, in the same forms. Default: now.
    pub until: Option<String>,
    /// Rows per page, 1 to 1000. Default 50.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filter and window.
    pub cursor: Option<String>,
    /// Fields to show, by name (see list_fields). Default: the ones that identify a call.
    pub fields: Option<Vec<String>>,
    /// `newest` (default) or `oldest` first.
    pub order: Option<Order>,
    /// `tsv` (default), `json` or `markdown`.
    pub format: Option<Format>,
}

/// Which end of the window comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The newest call first.
    #[default]
    Newest,
    /// The oldest call first.
    Oldest,
}

/// Shows one call whole.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    /// The `id` of the call, from any answer.
    pub id: CallIdArgument,
    /// Bytes shown of each body. Default 8192.
    #[serde(default, alias = "max_payload_size")]
    pub max_body_bytes: Option<u32>,
}

/// An id as a number or as text: assistants send both.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum CallIdArgument {
    /// A JSON number.
    Number(i64),
    /// A decimal number in a string.
    Text(String),
}

impl JsonSchema for CallIdArgument {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CallId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "description": "The `id` of the call, from any answer."})
    }

    fn inline_schema() -> bool {
        true
    }
}

impl CallIdArgument {
    /// The number, if it is one.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Text(t) => t.trim().parse().ok(),
        }
    }
}

/// Counts calls by groups.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatsRequest {
    /// KFL filter. Empty: every call.
    #[serde(alias = "kfl")]
    pub filter: Option<String>,
    /// Start of the window: an age (`15m`, `2h`, `7d`), an RFC 3339 time, or `all`. Default 15m.
    pub since: Option<String>,
    /// End of the window, in the same forms. Default: now.
    pub until: Option<String>,
    /// Fields to group by, for example `["dst.name", "path"]`. Default: one row for everything.
    #[serde(alias = "by")]
    pub group_by: Option<Vec<String>>,
    /// Also split by time: the length of a bucket, for example `1m`.
    pub bucket: Option<String>,
    /// Column to sort by, largest first: count (default), rate, failed, error_rate, bytes (both
    /// ways), elapsed_p50, elapsed_p90, elapsed_p95, elapsed_p99 or elapsed_max. With a bucket and
    /// without this, rows are in order of time.
    pub order_by: Option<String>,
    /// Groups shown, 1 to 1000. Default 50.
    pub limit: Option<u32>,
    /// `tsv` (default), `json` or `markdown`.
    pub format: Option<Format>,
}

/// Lists flows.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowsRequest {
    /// KFL filter over flow fields, for example `tcp && tcp_retransmits > 0`. Empty: every flow.
    #[serde(alias = "kfl")]
    pub filter: Option<String>,
    /// Start of the window: an age (`15m`, `2h`, `7d`), an RFC 3339 time, or `all`. Default 15m.
    pub since: Option<String>,
    /// End of the window, in the same forms. Default: now.
    pub until: Option<String>,
    /// Rows per page, 1 to 1000. Default 50.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filter and window.
    pub cursor: Option<String>,
    /// Fields to show, by name (see list_fields).
    pub fields: Option<Vec<String>>,
    /// `tsv` (default), `json` or `markdown`.
    pub format: Option<Format>,
}

/// Asks who calls whom.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MapRequest {
    /// KFL filter. Empty: every call.
    #[serde(alias = "kfl")]
    pub filter: Option<String>,
    /// Start of the window: an age (`15m`, `2h`, `7d`), an RFC 3339 time, or `all`. Default 15m.
    pub since: Option<String>,
    /// End of the window, in the same forms. Default: now.
    pub until: Option<String>,
    /// Edges shown, 1 to 1000. Default 50.
    pub limit: Option<u32>,
    /// `tsv` (default), `json` or `markdown`.
    pub format: Option<Format>,
}

/// Asks what changed between two windows.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompareRequest {
    /// KFL filter. Empty: every call.
    #[serde(alias = "kfl")]
    pub filter: Option<String>,
    /// Start of the window: an age (`15m`, `2h`), an RFC 3339 time. Default 15m.
    pub since: Option<String>,
    /// End of the window, in the same forms. Default: now.
    pub until: Option<String>,
    /// Start of the window to compare with. Default: as long before the window as that is long.
    pub baseline_since: Option<String>,
    /// Its end. Default: the start of the window.
    pub baseline_until: Option<String>,
    /// What is compared. Default: protocol, dst.name, method, path.
    #[serde(alias = "by")]
    pub group_by: Option<Vec<String>>,
    /// Changes shown, 1 to 1000. Default 50.
    pub limit: Option<u32>,
    /// `tsv` (default), `json` or `markdown`.
    pub format: Option<Format>,
}

/// Asks what is wrong.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnalyzeRequest {
    /// KFL filter. Empty: everything.
    #[serde(alias = "kfl")]
    pub filter: Option<String>,
    /// Start of the window: an age (`15m`, `2h`, `7d`), an RFC 3339 time, or `all`. Default 15m.
    pub since: Option<String>,
    /// End of the window, in the same forms. Default: now.
    pub until: Option<String>,
    /// Findings shown, 1 to 1000. Default 20.
    pub limit: Option<u32>,
    /// `tsv`, `json` or `markdown`. Default: a few lines for each finding.
    pub format: Option<Format>,
}

/// Asks in SQL.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SqlRequest {
    /// One SELECT over the views calls, flows, workloads, or one named like a protocol (http, dns, mysql, …).
    #[serde(alias = "sql")]
    pub query: String,
    /// Start of the window that the views hold: an age (`15m`, `2h`, `7d`), an RFC 3339 time, or `all`.
    /// Default 15m.
    pub since: Option<String>,
    /// End of the window, in the same forms. Default: now.
    pub until: Option<String>,
    /// Rows shown, 1 to 1000. Default 50.
    pub limit: Option<u32>,
    /// `tsv` (default), `json` or `markdown`.
    pub format: Option<Format>,
}

/// Asks what is and was captured.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatusRequest {
    /// Start of the window whose coverage is shown. Default 15m.
    pub since: Option<String>,
    /// Its end. Default: now.
    pub until: Option<String>,
}

/// Checks a filter without running it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValidateRequest {
    /// The KFL filter.
    #[serde(alias = "kfl")]
    pub filter: String,
    /// What it filters: `calls` (default) or `flows`.
    pub table: Option<TableArgument>,
}

/// The tables that filters apply to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableArgument {
    /// Calls.
    #[default]
    Calls,
    /// Flows.
    Flows,
}

/// Lists the fields that filters know.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FieldsRequest {
    /// Only the fields of this protocol, besides the common ones: http, dns or redis.
    pub protocol: Option<String>,
    /// Only fields whose name or meaning contains this text.
    pub search: Option<String>,
    /// Only the fields of `calls` or of `flows`. Default: both.
    pub table: Option<TableArgument>,
    /// Name of one field whose most frequent values in the last hour are wanted.
    pub values_of: Option<String>,
}

/// Asks for the packets behind calls or flows.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExportRequest {
    /// KFL over `table`: the whole connections of what matches. Without one, every packet of the window.
    #[serde(alias = "kfl")]
    pub filter: Option<String>,
    /// What the filter is about: `calls` (default) or `flows`.
    pub table: Option<TableArgument>,
    /// Start of the window. Default 15m.
    pub since: Option<String>,
    /// Its end. Default: now.
    pub until: Option<String>,
    /// Packets without what they carry.
    pub headers_only: Option<bool>,
    /// With the secrets of TLS connections that are held, so that Wireshark decrypts them. Default true.
    pub secrets: Option<bool>,
}
