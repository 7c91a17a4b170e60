//! A file system that fills up under the ring, and has room again.

use std::path::Path;
use std::process::Command;

use remora_ring::{ExportOptions, Ring, Shed};

use crate::common::*;

/// A small file system in memory, unmounted in the end.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "remora-test"])
            .arg(dir.path())
            .output()
            .map_err(|e| e.to_string())?;
        if mount.status.success() { Ok(Self(dir)) } else { Err("cannot mount a tmpfs".to_owned()) }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn writing_stops_and_goes_on() {
    let small = match Small::mount() {
        Ok(small) => small,
        Err(reason) => return eprintln!("SKIPPED: writing_stops_and_goes_on: {reason}"),
    };
    let filler = small.path().join("filler");
    std::fs::write(&filler, vec![1; 600 << 10]).unwrap();
    let config = config(&small.path().join("ring"), 16 << 20);
    let ring = Ring::open(&config).unwrap();
    let interface = ring.interface("n", "");
    let mut feed = ring.feed();
    let mut number = 0;
    let mut fill = |count: u64| {
        for _ in 0..count {
            push(&mut feed, interface, number as i64, &udp(1, false, number, 1_000));
            number += 1;
        }
        feed.flush();
        assert!(ring.sync(PATIENCE));
        ring.stats()
    };
    let full = fill(2_000);
    let shed = full.shed(Shed::DiskFull);
    assert!(shed.packets > 1_000 && full.written.packets > 0, "{full:?}");
    assert_eq!(shed.packets + full.written.packets, 2_000);
    assert!(full.disk_errors > 0 && full.last_error.is_some());
    let before = export(&ring, ExportOptions::default()).0;
    assert_eq!(before.packets.len() as u64, full.written.packets);

    std::fs::remove_file(&filler).unwrap();
    let after = fill(200);
    assert_eq!(after.shed(Shed::DiskFull), shed);
    assert!(!after.stopped);
    let (section, report) = export(&ring, ExportOptions::default());
    assert_eq!(section.packets.len() as u64, full.written.packets + 200);
    assert_eq!(section.packets[..before.packets.len()], before.packets);
    assert_eq!(report.damaged_packets, 0);
    // Full to the brim: then the end of the process, and a new one.
    let brim = fill(2_000);
    assert_eq!(brim.written.packets + brim.shed(Shed::DiskFull).packets, 4_200);
    drop(feed);
    drop(ring);
    let ring = Ring::open(&config).unwrap();
    assert_eq!(ring.stats().held.packets, brim.written.packets);
    assert_eq!(export(&ring, ExportOptions::default()).1.packets, brim.written.packets);
}
