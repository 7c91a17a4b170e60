//! What users type.

mod asking;
mod reading;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::asking::{
    CallArgs, CallsArgs, CompareArgs, FlowsArgs, MapArgs, SqlArgs, StatsArgs, WindowArgs,
};
pub use self::reading::ReadingArgs;

/// Sees the API calls of this host or cluster and answers questions about them.
#[derive(Debug, Parser)]
#[command(
    name = "remora",
    version,
    max_term_width = 100,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub struct Arguments {
    /// JSON or YAML file whose keys are option names, for example {"data-dir": "/srv/remora"}
    #[arg(long, env = "REMORA_CONFIG", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Format of log lines on stderr
    #[arg(long, env = "REMORA_LOG_FORMAT", global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// What to log: error, warn, info, debug, or directives such as remora_agent=debug
    #[arg(long, env = "REMORA_LOG", global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture this host and answer questions about it: everything in one process
    Up(UpArgs),
    /// Capture this node and send what is found to a hub
    Agent(AgentArgs),
    /// Take what agents send, keep it, and answer questions
    Hub(HubArgs),
    /// Speak MCP on stdin and stdout, for assistants that start a program
    Mcp(McpArgs),
    /// Read capture files and print the calls in them; needs no hub and no rights
    Dissect(DissectArgs),
    /// List calls, newest first, or follow them
    Calls(CallsArgs),
    /// Show one call whole
    Call(CallArgs),
    /// List connections with their counters
    Flows(FlowsArgs),
    /// Count calls by any fields, with error rates and percentiles
    Stats(StatsArgs),
    /// Show who calls whom
    Map(MapArgs),
    /// Show what changed between two windows of time
    Compare(CompareArgs),
    /// Run one read-only SELECT over calls, flows and the calls of each protocol
    Sql(SqlArgs),
    /// Show what is captured, what is not and why
    Status(StatusArgs),
    /// Explain filters and list fields
    #[command(subcommand)]
    Kfl(KflCommand),
    /// Print the configuration that adds Remora to an assistant
    McpConfig(McpConfigArgs),
    /// The processes of the sample traffic of `up --demo`
    #[command(hide = true)]
    DemoTraffic {
        /// shop or client
        role: String,
        /// The shop's ports: HTTP, Redis, DNS
        ports: Vec<u16>,
    },
}

/// Where the hub is.
#[derive(Clone, Debug, Args)]
pub struct Connection {
    /// Address of the hub
    #[arg(long, env = "REMORA_URL", value_name = "URL", default_value = "http://127.0.0.1:8899")]
    pub url: String,
    /// File with the hub's token
    #[arg(long, env = "REMORA_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// What to capture.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Capture options")]
pub struct CaptureArgs {
    /// Only processes of this name; may be repeated
    #[arg(long, env = "REMORA_PROCESS", value_name = "NAME", value_delimiter = ',')]
    pub process: Vec<String>,
    /// Only this cgroup and those below it (path under the cgroup-v2 root); may be repeated
    #[arg(long, env = "REMORA_CGROUP", value_name = "PATH", value_delimiter = ',')]
    pub cgroup: Vec<String>,
    /// Only connections with this port on either side; may be repeated
    #[arg(long, env = "REMORA_PORT", value_name = "PORT", value_delimiter = ',')]
    pub port: Vec<u16>,
    /// No connections with this port; may be repeated
    #[arg(long, env = "REMORA_EXCLUDE_PORT", value_name = "PORT", value_delimiter = ',')]
    pub exclude_port: Vec<u16>,
    /// No connections with an address in this network; may be repeated
    #[arg(long, env = "REMORA_EXCLUDE_CIDR", value_name = "CIDR", value_delimiter = ',')]
    pub exclude_cidr: Vec<String>,
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Means of capture: auto, cgroup, tc or af-packet
    #[arg(long, env = "REMORA_TIER", value_name = "TIER", default_value = "auto")]
    pub tier: TierArg,
    /// Do not read the plaintext of TLS from the libraries that encrypt it
    #[arg(long, env = "REMORA_NO_TLS")]
    pub no_tls: bool,
    /// Plaintext copied of one call of a TLS library [default: 4 times the payload limit]; units K, M
    #[arg(long, env = "REMORA_TLS_CALL_BUDGET", value_name = "SIZE", value_parser = size)]
    pub tls_call_budget: Option<u64>,
    /// Append the secrets of TLS connections to FILE, for Wireshark's `tls.keylog_file` (Linux 6.6 and later);
    /// whoever has them can decrypt recorded traffic
    #[arg(long, env = "REMORA_TLS_KEYLOG", value_name = "FILE", conflicts_with = "no_tls")]
    pub tls_keylog: Option<PathBuf>,
    /// Name of this node in every answer [default: host name]
    #[arg(long, env = "REMORA_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Memory for streams that are being put together; units K, M, G
    #[arg(long, env = "REMORA_MEMORY", value_name = "SIZE", default_value = "128M", value_parser = size)]
    pub memory: u64,
    /// Disk for what the hub has not acknowledged yet; units K, M, G
    #[arg(long, env = "REMORA_SPOOL", value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub spool: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TierArg {
    Auto,
    Cgroup,
    Tc,
    AfPacket,
}

/// How long data is kept.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Storage options")]
pub struct StorageArgs {
    /// Directory for data [default: /var/lib/remora as root, else ~/.local/share/remora]
    #[arg(long, env = "REMORA_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Disk for stored calls; the oldest are deleted first; units K, M, G
    #[arg(long, env = "REMORA_RETENTION_SIZE", value_name = "SIZE", default_value = "10G", value_parser = size)]
    pub retention_size: u64,
    /// Age at which stored calls are deleted, for example 12h or 7d
    #[arg(long, env = "REMORA_RETENTION_AGE", value_name = "AGE", default_value = "7d", value_parser = duration)]
    pub retention_age: std::time::Duration,
}

/// Who may ask.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server options")]
pub struct ServerArgs {
    /// Address on which MCP and the REST interface are served
    #[arg(long, env = "REMORA_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8899")]
    pub listen: SocketAddr,
    /// File with the token that askers must show; needed unless --listen is on loopback
    #[arg(long, env = "REMORA_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Web origin besides loopback ones that may ask; may be repeated
    #[arg(long, env = "REMORA_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// Show credentials in headers and cookies instead of masking them
    #[arg(long, env = "REMORA_REVEAL_SECRETS")]
    pub reveal_secrets: bool,
}

#[derive(Debug, Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub storage: StorageArgs,
    /// Also make a little sample traffic on loopback
    #[arg(long, env = "REMORA_DEMO")]
    pub demo: bool,
    #[command(flatten)]
    pub capture: CaptureArgs,
}

#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Address of the hub's ingest port, for example https://hub:8898
    #[arg(long, env = "REMORA_HUB", value_name = "URL")]
    pub hub: String,
    /// File with the token that the hub expects from agents
    #[arg(long, env = "REMORA_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificate authority of the hub (PEM)
    #[arg(long, env = "REMORA_HUB_CA", value_name = "FILE")]
    pub hub_ca: Option<PathBuf>,
    /// Certificate that this agent shows (PEM), with --client-key
    #[arg(long, env = "REMORA_CLIENT_CERT", value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, env = "REMORA_CLIENT_KEY", value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// Directory for what the hub has not acknowledged yet [default: as for up]
    #[arg(long, env = "REMORA_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub capture: CaptureArgs,
}

#[derive(Debug, Args)]
pub struct HubArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Address on which agents are taken
    #[arg(long, env = "REMORA_INGEST_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8898")]
    pub ingest_listen: SocketAddr,
    /// File with the token that agents must show
    #[arg(long, env = "REMORA_INGEST_TOKEN_FILE", value_name = "FILE")]
    pub ingest_token_file: Option<PathBuf>,
    /// Certificate for agents (PEM), with --ingest-key
    #[arg(long, env = "REMORA_INGEST_CERT", value_name = "FILE", requires = "ingest_key")]
    pub ingest_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, env = "REMORA_INGEST_KEY", value_name = "FILE", requires = "ingest_cert")]
    pub ingest_key: Option<PathBuf>,
    /// Certificate authority that agents' certificates must be of (PEM)
    #[arg(long, env = "REMORA_INGEST_CLIENT_CA", value_name = "FILE")]
    pub ingest_client_ca: Option<PathBuf>,
    #[command(flatten)]
    pub storage: StorageArgs,
}

#[derive(Debug, Args)]
pub struct McpArgs {
    #[command(flatten)]
    pub connection: Connection,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table that fits the terminal
    Table,
    /// One JSON object per line
    Ndjson,
    /// Tab-separated values
    Tsv,
}

#[derive(Debug, Args)]
pub struct DissectArgs {
    /// Capture files, pcap or pcapng; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only calls that match this filter
    #[arg(long, value_name = "KFL")]
    pub kfl: Option<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Show every field, bodies included
    #[arg(long)]
    pub full: bool,
    /// List connections instead of calls
    #[arg(long)]
    pub flows: bool,
    /// Fields to show, separated by commas
    #[arg(long, value_name = "F,F", value_delimiter = ',', conflicts_with = "full")]
    pub fields: Vec<String>,
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// TLS secrets, as applications write them to $SSLKEYLOGFILE; may be repeated
    #[arg(long, value_name = "FILE")]
    pub keylog: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub window: WindowArgs,
    /// Print everything as JSON
    #[arg(long, conflicts_with = "tls")]
    pub json: bool,
    /// Show what is read of TLS and what is not, process by process
    #[arg(long)]
    pub tls: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Subcommand)]
pub enum KflCommand {
    /// Say what a filter means, or where it is wrong
    Check {
        /// The filter
        #[arg(value_name = "KFL")]
        filter: String,
        /// It is for flows instead of calls
        #[arg(long)]
        flows: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// List every field with its type and meaning
    Fields {
        /// Only fields whose name or meaning contains this
        #[arg(value_name = "TEXT", default_value = "")]
        search: String,
        /// Output format
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: Format,
    },
}

#[derive(Debug, Args)]
pub struct McpConfigArgs {
    /// The assistant
    pub client: Assistant,
    /// Let the assistant start `remora mcp` instead of connecting by HTTP
    #[arg(long)]
    pub stdio: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Assistant {
    Claude,
    Cursor,
    Vscode,
    Dify,
}

/// Reads a size such as `64K`, `128MiB` or `1G`; units are powers of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().trim_end_matches("iB").trim_end_matches('B') {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        "T" | "t" => 1 << 40,
        _ => return Err("write a size such as 64K, 128M or 1G".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a size such as 64K, 128M or 1G".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "the size is too large".to_owned())
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    remora_hub::query::window::parse_duration(text)
        .filter(|d| !d.is_zero())
        .ok_or_else(|| "write a length of time such as 90s, 12h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("12"), Ok(12));
        for bad in ["", "K", "1X", "-1", "1.5G", "99999999999999999999", "99999999999T"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    /// Every option has an environment variable, by the rule REMORA_ and the option's name, save
    /// those that choose what one answer shows.
    #[test]
    fn server_options_have_environment_variables() {
        let command = Arguments::command();
        for name in ["up", "agent", "hub", "mcp"] {
            let sub = command.find_subcommand(name).into_iter().flat_map(|c| c.get_arguments().cloned());
            for arg in sub.filter(|a| !matches!(a.get_id().as_str(), "help" | "version")) {
                assert!(arg.get_env().is_some(), "{name} {}", arg.get_id());
            }
        }
    }
}
