//! Two network namespaces joined by a pair of virtual Ethernet devices.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

/// Makes the names of one process's namespaces differ.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Two namespaces, each with one end of a veth pair. Dropping them removes both.
#[derive(Debug)]
pub struct Pair {
    /// Name of the client's namespace.
    pub client: String,
    /// Name of the server's namespace.
    pub server: String,
}

impl Pair {
    /// The server's IPv4 address (RFC 5737 documentation network).
    pub const SERVER_V4: &str = "192.0.2.2";
    /// The server's IPv6 address (RFC 3849 documentation network).
    pub const SERVER_V6: &str = "2001:db8:77::2";

    /// Makes them.
    ///
    /// # Errors
    /// When the machine has no namespaces or no veth devices.
    pub fn new() -> Result<Self> {
        let name = format!("re{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let pair = Self { client: format!("{name}c"), server: format!("{name}s") };
        ip(&format!("netns add {}", pair.client))?;
        ip(&format!("netns add {}", pair.server))?;
        ip(&format!(
            "link add {name}c netns {c} type veth peer name {name}s netns {s}",
            c = pair.client,
            s = pair.server
        ))?;
        for (space, n) in [(&pair.client, 1), (&pair.server, 2)] {
            ip(&format!("-n {space} address add 192.0.2.{n}/24 dev {space}"))?;
            ip(&format!("-n {space} address add 2001:db8:77::{n}/64 dev {space} nodad"))?;
            ip(&format!("-n {space} link set {space} up"))?;
            ip(&format!("-n {space} link set lo up"))?;
        }
        Ok(pair)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        _ = ip(&format!("netns delete {}", self.client));
        _ = ip(&format!("netns delete {}", self.server));
    }
}

/// A command in a namespace, or in the host's without one.
pub fn command(space: Option<&str>, program: &str) -> Command {
    let Some(space) = space else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", space, program]);
    command
}

fn ip(arguments: &str) -> Result<()> {
    super::output(Command::new("ip").args(arguments.split(' '))).map(drop)
}
