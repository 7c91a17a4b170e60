//! Questions about calls and flows.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Connection, Format};

/// Which part of the past.
#[derive(Clone, Debug, Args)]
pub struct WindowArgs {
    /// Start: an age such as 15m or 2h, an RFC 3339 time, or all
    #[arg(long, value_name = "T", default_value = "15m")]
    pub since: String,
    /// End, in the same forms [default: now]
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
}

#[derive(Debug, Args)]
pub struct CallsArgs {
    /// Filter, for example 'http && status_code >= 500'
    #[arg(value_name = "KFL", default_value = "")]
    pub kfl: String,
    #[command(flatten)]
    pub window: WindowArgs,
    /// Most calls to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: u64,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Fields to show, separated by commas
    #[arg(long, value_name = "F,F", value_delimiter = ',')]
    pub fields: Vec<String>,
    /// Print calls as they arrive, until interrupted
    #[arg(short, long, conflicts_with_all = ["limit", "until"])]
    pub follow: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct CallArgs {
    /// Id of the call
    pub id: i64,
    /// Bytes of each body to show
    #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
    pub max_body_bytes: u32,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct FlowsArgs {
    /// Filter over flow fields, for example 'tcp && tcp_retransmits > 0'
    #[arg(value_name = "KFL", default_value = "")]
    pub kfl: String,
    #[command(flatten)]
    pub window: WindowArgs,
    /// Most flows to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: u64,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Fields to show, separated by commas
    #[arg(long, value_name = "F,F", value_delimiter = ',')]
    pub fields: Vec<String>,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Filter, for example 'http && dst.port == 8080'
    #[arg(value_name = "KFL", default_value = "")]
    pub kfl: String,
    /// Fields to group by, separated by commas
    #[arg(long, value_name = "F,F", value_delimiter = ',')]
    pub by: Vec<String>,
    /// Also split by time, for example 1m
    #[arg(long, value_name = "LENGTH")]
    pub bucket: Option<String>,
    /// Sort by count, rate, failed, error_rate, bytes, elapsed_p50, elapsed_p90, elapsed_p95,
    /// elapsed_p99 or elapsed_max
    #[arg(long, value_name = "COLUMN")]
    pub order_by: Option<String>,
    #[command(flatten)]
    pub window: WindowArgs,
    /// Most groups to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: u64,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct MapArgs {
    /// Filter, for example 'http && failed'
    #[arg(value_name = "KFL", default_value = "")]
    pub kfl: String,
    #[command(flatten)]
    pub window: WindowArgs,
    /// Most edges to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: u64,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Filter, for example 'http && dst.port == 8080'
    #[arg(value_name = "KFL", default_value = "")]
    pub kfl: String,
    #[command(flatten)]
    pub window: WindowArgs,
    /// Start of the window to compare with; without it, the time just before, as long as the window
    #[arg(long, value_name = "TIME")]
    pub baseline_since: Option<String>,
    /// End of the window to compare with [default: start of the window]
    #[arg(long, value_name = "TIME", requires = "baseline_since")]
    pub baseline_until: Option<String>,
    /// Fields that make a group, separated by commas [default: protocol,dst.name,method,path]
    #[arg(long, value_name = "F,F", value_delimiter = ',')]
    pub by: Vec<String>,
    /// Most changes to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: u64,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Filter, for example 'dst.name == "payments"'
    #[arg(value_name = "KFL", default_value = "")]
    pub kfl: String,
    #[command(flatten)]
    pub window: WindowArgs,
    /// Most findings to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: u64,
    /// Output format; table is a few lines for each finding
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct SqlArgs {
    /// One SELECT, or - to read it from standard input. Views: calls, flows, and one named like each
    /// protocol. Columns: the fields of 'remora kfl fields', with dots as underscores, for example
    /// 'SELECT dst_name, path, count(*) FROM http WHERE failed GROUP BY dst_name, path'
    #[arg(value_name = "QUERY")]
    pub query: String,
    #[command(flatten)]
    pub window: WindowArgs,
    /// Most rows to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: u64,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    #[command(flatten)]
    pub connection: Connection,
}

/// What an export has for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportTls {
    /// The secrets of connections, so that Wireshark decrypts them
    Keys,
    /// Nothing
    None,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Filter over calls: the whole connections of what matches. Without one, every packet of the window
    #[arg(long, value_name = "KFL", default_value = "")]
    pub kfl: String,
    /// The filter is over flow fields, for example 'tcp_retransmits > 0'
    #[arg(long)]
    pub flows: bool,
    #[command(flatten)]
    pub window: WindowArgs,
    /// Where to: a file, or - for standard output, as in 'remora export -w - | wireshark -k -i -'
    #[arg(short, long, value_name = "FILE")]
    pub write: PathBuf,
    /// What the file has for TLS
    #[arg(long, value_name = "WHAT", default_value = "keys")]
    pub tls: ExportTls,
    /// Leave out what packets carry behind their headers
    #[arg(long)]
    pub headers_only: bool,
    #[command(flatten)]
    pub connection: Connection,
}
