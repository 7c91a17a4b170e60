//! The long-running roles: `up`, `agent` and `hub`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use remora_agent::{Agent, AgentConfig};
use remora_hub::{Hub, HubConfig};
use remora_wire::{ClientSecurity, ServerSecurity, Transport};
use tokio::signal::unix::{SignalKind, signal};

use super::capture::{agent_config, data_dir};
use super::demo::Demo;
use crate::cli::{AgentArgs, HubArgs, ServerArgs, StorageArgs, UpArgs};
use crate::output;

/// How long a stopping agent waits for the hub of another process to acknowledge what is left. The
/// rest is safe in its spool, and the node is not watched until the next agent runs.
const DRAIN: Duration = Duration::from_secs(1);
/// The same for the hub of this process, which ends as well and is made to seal meanwhile.
const DRAIN_HERE: Duration = Duration::from_secs(10);

pub async fn up(args: UpArgs) -> Result<()> {
    let dir = data_dir(args.storage.data_dir.as_ref())?;
    let hub = HubConfig { needs_agent: true, ..hub_config(&args.server, &args.storage, &dir) };
    let unsealed = hub.store.memory_budget;
    let hub = Hub::start(hub).await?;
    let mut config = agent_config(&args.capture, &dir, &[hub.address().port()])?;
    // Rows that the hub of this process has taken and not sealed yet are the same memory in the
    // store and in the spool: they must not push what the hub has not taken out to the disk.
    config.budgets.spool_memory_bytes += unsealed;
    let agent = match start_agent(config, Transport::Memory(hub.connector())).await {
        Ok(agent) => agent,
        Err(e) => {
            hub.stop().await?;
            return Err(e);
        }
    };
    if let Some(ring) = agent.packet_ring() {
        hub.add_packets(agent.node(), ring);
    }
    let demo = if args.demo { Some(Demo::start().await?) } else { None };
    output::text(&welcome(&hub, &agent, &args))?;
    interrupted().await?;
    output::remark("stopping: sealing what was captured");
    drop(demo);
    let sealing = async {
        loop {
            // A store that cannot seal says so in its own log.
            _ = hub.flush().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = stop_agent(agent, DRAIN_HERE) => {}
        _ = sealing => {}
    }
    hub.stop().await?;
    Ok(())
}

/// Starting blocks: on the disk for the spool, and on the kernel's verifier.
async fn start_agent(config: AgentConfig, transport: Transport) -> Result<Agent> {
    let runtime = tokio::runtime::Handle::current();
    let started = tokio::task::spawn_blocking(move || {
        let _in_runtime = runtime.enter();
        Agent::start(&config, transport)
    });
    started.await?.context("cannot capture this host")
}

async fn stop_agent(agent: Agent, patience: Duration) {
    let summary = agent.shutdown(patience).await;
    tracing::debug!(?summary, "agent stopped");
}

pub async fn agent(args: AgentArgs) -> Result<()> {
    let dir = data_dir(args.data_dir.as_ref())?;
    let port = reqwest::Url::parse(&args.hub).ok().and_then(|u| u.port_or_known_default());
    let config = agent_config(&args.capture, &dir, port.as_slice())?;
    let security = ClientSecurity {
        ca: args.hub_ca,
        identity: args.client_cert.zip(args.client_key),
        token_file: args.token_file,
        ..ClientSecurity::default()
    };
    let agent = start_agent(config, Transport::Tcp { url: args.hub.clone(), security }).await?;
    let control = agent.control();
    let report = control.report();
    tracing::info!(tier = report.tier.name(), at = report.attached_to, hub = args.hub, "capturing");
    interrupted().await?;
    stop_agent(agent, DRAIN).await;
    Ok(())
}

pub async fn hub(args: HubArgs) -> Result<()> {
    let dir = data_dir(args.storage.data_dir.as_ref())?;
    let mut config = hub_config(&args.server, &args.storage, &dir);
    config.ingest_listen = Some(args.ingest_listen);
    config.ingest_security = ServerSecurity {
        identity: args.ingest_cert.zip(args.ingest_key),
        client_ca: args.ingest_client_ca,
        token_file: args.ingest_token_file,
        ..ServerSecurity::default()
    };
    let hub = Hub::start(config).await?;
    tracing::info!(mcp = %format!("http://{}/mcp", hub.address()), ingest = ?hub.ingest_address(), "listening");
    interrupted().await?;
    hub.stop().await?;
    Ok(())
}

fn hub_config(server: &ServerArgs, storage: &StorageArgs, dir: &Path) -> HubConfig {
    let mut config = HubConfig::new(server.listen, dir.join("store"));
    config.token_file.clone_from(&server.token_file);
    config.allowed_origins.clone_from(&server.allow_origin);
    config.reveal_secrets = server.reveal_secrets;
    config.store.retention_bytes = storage.retention_size;
    config.store.retention_age = storage.retention_age;
    config
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome.context("cannot listen for SIGINT"),
        _ = terminate.recv() => Ok(()),
    }
}

/// What somebody who has just started Remora needs to know.
fn welcome(hub: &Hub, agent: &Agent, args: &UpArgs) -> String {
    let address = hub.address();
    let control = agent.control();
    let report = control.report();
    let mut text =
        format!("Remora is capturing this host by {} ({}).\n", report.tier.name(), report.attached_to);
    for (tier, reason) in &report.rejected {
        text.push_str(&format!("  {} is not possible here: {reason}\n", tier.name()));
    }
    text.push_str(&format!(
        "\n  MCP      http://{address}/mcp\n  Claude   claude mcp add --transport http remora http://{address}/mcp\n  \
         Cursor   remora mcp-config cursor\n  VS Code  remora mcp-config vscode\n\n\
         Ask your assistant: \"Which API calls on this host failed or were slow in the last minutes, and why?\"\n\
         Or look yourself:   remora calls --follow     remora stats --by dst.name,path     remora status\n"
    ));
    if address.port() != 8899 {
        text.push_str(&format!("(With this port: export REMORA_URL=http://{address})\n"));
    }
    if args.server.token_file.is_some() {
        text.push_str("Askers must show the token: --token-file, or Authorization: Bearer TOKEN\n");
    }
    if args.demo {
        text.push_str("Sample traffic is running: demo-client visits demo-shop every half second.\n");
    }
    text.push_str("\nCtrl-C ends it; what was captured stays.\n");
    text
}
