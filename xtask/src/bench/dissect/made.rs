//! The capture of HTTP that is made here, once: long connections with small calls, as a service has
//! them.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::bench::load::{CONNECTIONS, Server};
use crate::bench::process::{Background, Scratch};
use crate::product;
use crate::run::{Run, is_root};

/// Packets of the capture: about 150 MB.
const PACKETS: u32 = 600_000;

/// The capture that is made once and kept beside the builds: nginx and wrk, through tcpdump.
pub(super) fn http() -> Result<PathBuf> {
    let dir = product::target_dir().join("bench");
    let file = dir.join(format!("http-{PACKETS}.pcap"));
    if file.exists() {
        return Ok(file);
    }
    crate::bench::need(&["nginx", "wrk", "tcpdump"])?;
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let scratch = Scratch::new()?;
    let server = Server::start(scratch.path())?;
    let part = dir.join(format!("http-{PACKETS}.pcap.part"));
    // A large buffer (-B, KiB), so that the file has no holes; as the user, who owns the directory.
    let mut tcpdump = Run::new("tcpdump").args(["-s0", "-i", "lo", "-B", "131072", "-w"]).arg(&part);
    if is_root() {
        tcpdump = tcpdump.args(["-Z", "root"]);
    }
    let filter = format!("tcp port {}", server.port);
    let run = tcpdump.args(["-c", &PACKETS.to_string(), &filter]).root();
    eprintln!("making a capture of {PACKETS} packets (wrk -c{CONNECTIONS} and nginx on loopback)");
    eprintln!("+ {}", run.line());
    let mut tcpdump = Background::start(&run, "tcpdump", scratch.path())?;
    tcpdump.wait_until(Duration::from_secs(30), |tcpdump| tcpdump.log().contains("listening on"))?;
    let load = server.load_in_background(60, scratch.path())?;
    let began = Instant::now();
    while !tcpdump.has_ended()? {
        if began.elapsed() > Duration::from_secs(60) {
            bail!("tcpdump has not seen {PACKETS} packets in a minute: {}", tcpdump.log().trim());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(load);
    server.stop()?;
    eprintln!("{}", tcpdump.stop()?.trim());
    File::open(&part).with_context(|| format!("cannot read {}", part.display()))?;
    std::fs::rename(&part, &file)?;
    Ok(file)
}
