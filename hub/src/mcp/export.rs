//! `export_pcap`: how to fetch the packets behind calls. The bytes themselves are nothing for an assistant.

use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::tools::{Failure, object};
use crate::query::Query;
use crate::query::request::{ExportRequest, TableArgument};

/// How to fetch the packets of a request; its times are absolute from here on.
pub(super) async fn prepare(request: &ExportRequest, query: &Query) -> Result<Value, Failure> {
    if query.packets.rings().is_empty() {
        return Err(Failure {
            code: "not_found",
            message: "no packets are kept here: `remora up` keeps them unless --raw-budget is 0; those of agents in \
                      other processes cannot be had yet"
                .to_owned(),
        });
    }
    let selection = query.select_packets(request).await?;
    let (since, until) = (selection.window.from.to_rfc3339(), selection.window.to.to_rfc3339());
    let flows = request.table == Some(TableArgument::Flows);
    let filter = request.filter.as_deref().unwrap_or_default();
    let prefix = "/api/v1/pcap?";
    let mut path = form_urlencoded::Serializer::for_suffix(prefix.to_owned(), prefix.len());
    let mut command = format!("remora export --since {since} --until {until}");
    path.append_pair("since", &since).append_pair("until", &until);
    if !filter.is_empty() {
        path.append_pair("filter", filter);
        command.push_str(&format!(" --kfl '{}'", filter.replace('\'', r"'\''")));
    }
    if flows {
        path.append_pair("table", "flows");
        command.push_str(" --flows");
    }
    if request.headers_only.unwrap_or(false) {
        path.append_pair("headers_only", "true");
        command.push_str(" --headers-only");
    }
    if !request.secrets.unwrap_or(true) {
        path.append_pair("secrets", "false");
        command.push_str(" --tls none");
    }
    command.push_str(" -w remora.pcapng");
    let mut export = json!({ "from": since, "to": until, "command": command, "path": path.finish() });
    if let Some(connections) = selection.connections {
        export["connections"] = connections.into();
    }
    if !selection.notes.is_empty() {
        export["notes"] = selection.notes.into();
    }
    Ok(export)
}

/// What it gives.
pub(super) fn schema() -> JsonObject {
    object(
        json!({
            "from": {"type": "string", "description": "start of the window, RFC 3339"},
            "to": {"type": "string", "description": "its end"},
            "connections": {"type": "integer", "description": "connections in the file; absent: every packet of the window"},
            "command": {"type": "string", "description": "writes the file where the command line of Remora is"},
            "path": {"type": "string", "description": "below the address of this server: gives the file to whoever may ask here"},
            "notes": {"type": "array", "items": {"type": "string"}}
        }),
        &["from", "to", "command", "path"],
    )
}
