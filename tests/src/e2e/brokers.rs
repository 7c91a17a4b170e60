//! Real message brokers, each with files of its own.

use anyhow::Result;
use tempfile::TempDir;

use super::netns;
use super::servers::Server;

/// RabbitMQ, with the user `guest`. Its port mapper, which Erlang starts, ends with its namespace or
/// stays idle.
///
/// # Errors
/// When it does not start.
pub fn rabbitmq(space: Option<&str>, address: &str, port: u16) -> Result<Server> {
    let dir = TempDir::with_prefix("remora-rabbitmq-")?;
    let plugins = dir.path().join("plugins");
    std::fs::write(&plugins, "[].\n")?;
    // The one in the search path becomes another user and uses the machine's directories.
    let own = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    let program = if std::path::Path::new(own).exists() { own } else { "rabbitmq-server" };
    let mut command = netns::command(space, program);
    command.env("HOME", dir.path()).env("RABBITMQ_NODENAME", format!("remora{port}@localhost"));
    command.env("RABBITMQ_NODE_IP_ADDRESS", address).env("RABBITMQ_NODE_PORT", port.to_string());
    command.env("RABBITMQ_MNESIA_BASE", dir.path().join("db")).env("RABBITMQ_LOG_BASE", dir.path());
    command.env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins).env("RABBITMQ_LOGS", "-");
    command.env("RABBITMQ_PID_FILE", dir.path().join("pid")).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    // The distribution port of Erlang stays on loopback too.
    command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
    Server::start(command, dir, port)
}

/// mosquitto that lets everybody in.
///
/// # Errors
/// When it does not start.
pub fn mosquitto(space: Option<&str>, address: &str, port: u16) -> Result<Server> {
    let dir = TempDir::with_prefix("remora-mosquitto-")?;
    let config = dir.path().join("config");
    std::fs::write(&config, format!("listener {port} {address}\nallow_anonymous true\nuser root\n"))?;
    let mut command = netns::command(space, "mosquitto");
    command.arg("-c").arg(config);
    Server::start(command, dir, port)
}

/// nats-server with JetStream.
///
/// # Errors
/// When it does not start.
pub fn nats(space: Option<&str>, address: &str, port: u16) -> Result<Server> {
    let dir = TempDir::with_prefix("remora-nats-")?;
    let mut command = netns::command(space, "nats-server");
    command.args(["-a", address, "-p", &port.to_string(), "-js", "-sd"]).arg(dir.path().join("store"));
    Server::start(command, dir, port)
}
