//! tcpdump, for what other programs make of the same packets.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Result;

use super::{netns, output, wait_for};

/// tcpdump that writes to a file while it lives.
#[derive(Debug)]
pub struct Recorder(Child);

impl Recorder {
    /// Records an interface of a namespace, of each packet so many bytes (0: all).
    ///
    /// # Errors
    /// When tcpdump does not record.
    pub fn start(
        space: Option<&str>,
        interface: &str,
        snaplen: u32,
        file: &Path,
        ports: &[u16],
    ) -> Result<Self> {
        let filter: Vec<String> = ports.iter().map(|p| format!("port {p}")).collect();
        let mut command = netns::command(space, "tcpdump");
        command.args(["-i", interface, "-s", &snaplen.to_string()]);
        command.args(["-U", "-B", "65536", "-Z", "root", "-w"]).arg(file);
        let errors = file.with_extension("errors");
        command.arg(filter.join(" or ")).stderr(std::fs::File::create(&errors)?).stdin(Stdio::null());
        let recorder = Self(command.spawn()?);
        // It says so when its socket is open.
        wait_for("tcpdump records", || {
            let said = std::fs::read_to_string(&errors)?;
            Ok(if said.contains("listening on") { Ok(()) } else { Err(said) })
        })?;
        Ok(recorder)
    }

    /// Ends it; what it has not written by then is lost.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn stop(mut self) -> Result<()> {
        output(Command::new("kill").args(["-INT", &self.0.id().to_string()]))?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
