//! Capture options become settings of an agent.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use remora_agent::AgentConfig;
use remora_agent::kernel::Tier;

use super::Usage;
use crate::cli::{CaptureArgs, TierArg};

/// Settings of an agent that keeps its spool under `dir` and leaves `own_ports` out.
pub fn agent_config(args: &CaptureArgs, dir: &Path, own_ports: &[u16]) -> Result<AgentConfig> {
    let mut config = AgentConfig { data_dir: Some(dir.to_owned()), ..AgentConfig::default() };
    if let Some(name) = &args.node_name {
        config.node.clone_from(name);
    }
    let capture = &mut config.capture;
    capture.processes.clone_from(&args.process);
    capture.cgroups.clone_from(&args.cgroup);
    capture.ports.clone_from(&args.port);
    capture.exclude_ports.clone_from(&args.exclude_port);
    // What others ask of Remora is no traffic of theirs that anybody wants to see.
    capture.exclude_ports.extend(own_ports);
    for text in &args.exclude_cidr {
        capture.exclude_cidrs.push(text.parse().map_err(|e| Usage(format!("--exclude-cidr {text}: {e}")))?);
    }
    capture.reading = args.reading.limits()?;
    config.tls.enabled = !args.no_tls;
    config.tls.call_budget = args.tls_call_budget.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
    config.tls.key_log.clone_from(&args.tls_keylog);
    config.budgets.reassembly_bytes = usize::try_from(args.memory).unwrap_or(usize::MAX);
    config.budgets.spool_disk_bytes = args.spool;
    config.kernel.tier = match args.tier {
        TierArg::Auto => None,
        TierArg::Cgroup => Some(Tier::Cgroup),
        TierArg::Tc => Some(Tier::Tc),
        TierArg::AfPacket => Some(Tier::Packet),
    };
    Ok(config)
}

/// The directory for data: as told, or where such data belongs.
pub fn data_dir(told: Option<&PathBuf>) -> Result<PathBuf> {
    let dir = match told {
        Some(dir) => dir.clone(),
        None if is_root() => PathBuf::from("/var/lib/remora"),
        None => match std::env::var_os("XDG_DATA_HOME") {
            Some(base) => PathBuf::from(base).join("remora"),
            None => {
                let home = std::env::var_os("HOME").context("HOME is not set; give --data-dir")?;
                PathBuf::from(home).join(".local/share/remora")
            }
        },
    };
    std::fs::create_dir_all(&dir).with_context(|| {
        format!("cannot make the data directory {}; choose another with --data-dir", dir.display())
    })?;
    restrict(&dir);
    Ok(dir)
}

/// Captured traffic is for its owner only.
fn restrict(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if let Err(e) = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)) {
        tracing::warn!(dir = %dir.display(), error = %e, "others may be able to read the data directory");
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}
