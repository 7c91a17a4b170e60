//! `remora mcp-config`: what to paste where.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{Assistant, Connection, McpConfigArgs};
use crate::output;

pub fn run(args: McpConfigArgs) -> Result<()> {
    let block = serde_json::to_string_pretty(&block(args.client, args.stdio, &args.connection))?;
    output::remark(place(args.client));
    output::text(&format!("{block}\n"))?;
    Ok(())
}

fn place(client: Assistant) -> &'static str {
    match client {
        Assistant::Claude => {
            "for Claude Desktop: claude_desktop_config.json; for Claude Code: .mcp.json in the project (or: claude mcp add)"
        }
        Assistant::Cursor => "for Cursor: ~/.cursor/mcp.json, or .cursor/mcp.json in the project",
        Assistant::Vscode => "for VS Code: .vscode/mcp.json",
        Assistant::Dify => "for Dify: Tools, MCP, Add MCP server",
    }
}

fn block(client: Assistant, stdio: bool, connection: &Connection) -> Value {
    let url = format!("{}/mcp", connection.url.trim_end_matches('/'));
    // Claude Desktop starts programs only; the others connect by themselves.
    let stdio = stdio || client == Assistant::Claude;
    let server = if stdio {
        let mut args = vec!["mcp".to_owned(), "--url".to_owned(), connection.url.clone()];
        if let Some(file) = &connection.token_file {
            args.extend(["--token-file".to_owned(), file.display().to_string()]);
        }
        json!({ "command": program(), "args": args })
    } else {
        let mut server = json!({ "type": "http", "url": url });
        if connection.token_file.is_some() {
            server["headers"] = json!({ "Authorization": "Bearer ${REMORA_TOKEN}" });
        }
        server
    };
    match client {
        Assistant::Claude | Assistant::Cursor => json!({ "mcpServers": { "remora": server } }),
        Assistant::Vscode => json!({ "servers": { "remora": server } }),
        Assistant::Dify => json!({ "name": "Remora", "server_identifier": "remora", "server_url": url }),
    }
}

/// Assistants start programs without the user's shell, so the whole path is safer than the name.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "remora".to_owned(), |p| p.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_assistant_gets_its_shape() {
        let connection = Connection { url: "http://127.0.0.1:8899/".to_owned(), token_file: None };
        let claude = block(Assistant::Claude, false, &connection);
        assert_eq!(claude.pointer("/mcpServers/remora/args/0"), Some(&json!("mcp")));
        let vscode = block(Assistant::Vscode, false, &connection);
        assert_eq!(vscode.pointer("/servers/remora/url"), Some(&json!("http://127.0.0.1:8899/mcp")));
        let dify = block(Assistant::Dify, false, &connection);
        assert_eq!(dify.pointer("/server_url"), Some(&json!("http://127.0.0.1:8899/mcp")));
        let token = Connection { token_file: Some("/t".into()), ..connection };
        let cursor = block(Assistant::Cursor, false, &token);
        assert!(cursor.pointer("/mcpServers/remora/headers/Authorization").is_some());
    }
}
