//! How what is captured is read: on the wire and in files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use remora_dissect::detect::REGISTRY;
use remora_dissect::{BodyPolicy, Limits, Schemas};
use remora_model::Protocol;

use super::size;
use crate::output;

/// How what is captured is read.
#[derive(Clone, Debug, Args)]
pub struct ReadingArgs {
    /// Bytes of payload kept per direction of a call; units K, M
    #[arg(long, env = "REMORA_PAYLOAD_LIMIT", value_name = "BYTES", default_value = "64K", value_parser = size)]
    pub payload_limit: u64,
    /// Keep, hash or drop HTTP bodies by media type, such as image/*=hash,video/*=drop
    #[arg(long, env = "REMORA_BODIES", value_name = "TYPE=ACTION,...", default_value = "")]
    pub bodies: BodyPolicy,
    /// Descriptor set of the services whose gRPC messages are to be shown with names, as
    /// `protoc --include_imports --descriptor_set_out=FILE` writes it
    #[arg(long, env = "REMORA_PROTOS", value_name = "FILE")]
    pub protos: Option<PathBuf>,
    /// Read this port as this protocol, whatever its content looks like, such as 9000=redis; may be
    /// repeated
    #[arg(
        long,
        env = "REMORA_PROTOCOL_PORT",
        value_name = "PORT=PROTOCOL",
        value_delimiter = ',',
        value_parser = pin
    )]
    pub protocol_port: Vec<(u16, Protocol)>,
}

impl ReadingArgs {
    /// The limits of an engine that reads so.
    ///
    /// # Errors
    /// A descriptor set that cannot be read.
    pub fn limits(&self) -> Result<Limits> {
        let mut limits = Limits {
            payload: usize::try_from(self.payload_limit).unwrap_or(usize::MAX),
            bodies: self.bodies.clone(),
            pins: self.protocol_port.clone(),
            ..Limits::default()
        };
        if let Some(file) = &self.protos {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            limits.schemas = Schemas::parse(&bytes).with_context(|| file.display().to_string())?;
            let missing = limits.schemas.missing();
            if !missing.is_empty() {
                output::remark(&format!(
                    "warning: {} lacks {}; write it with --include_imports",
                    file.display(),
                    missing.iter().take(5).copied().collect::<Vec<_>>().join(", ")
                ));
            }
        }
        Ok(limits)
    }
}

/// A port and the protocol that is spoken on it.
fn pin(text: &str) -> Result<(u16, Protocol), String> {
    let (port, name) = text.split_once('=').ok_or("write a port and a protocol, such as 9000=redis")?;
    let port = port.trim().parse().map_err(|_| format!("`{port}` is no port"))?;
    let known = || REGISTRY.iter().map(|e| e.protocol.name()).collect::<BTreeSet<_>>();
    let protocol = Protocol::from_name(&name.trim().to_ascii_lowercase());
    let dissected = protocol.filter(|p| known().contains(p.name()));
    let names = || known().into_iter().collect::<Vec<_>>().join(", ");
    dissected.map(|p| (port, p)).ok_or_else(|| format!("`{name}` is not one of {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_ports() {
        assert_eq!(pin("9000=Redis"), Ok((9_000, Protocol::Redis)));
        for bad in ["", "9000", "redis=9000", "70000=redis", "9000=gopher", "9000=tcp"] {
            assert!(pin(bad).is_err(), "{bad}");
        }
    }
}
