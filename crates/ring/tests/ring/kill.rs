//! The writing process is killed in the middle, many times.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use remora_ring::{ExportOptions, Ring};

use crate::common::*;

/// Names the directory and the first number for the process that writes.
const CHILD: &str = "REMORA_TEST_RING";
const BUDGET: u64 = 512 << 10;

/// Writes until it is killed; says which packets are certainly written.
fn write_until_killed(task: &str) -> ! {
    let (number, dir) = task.split_once(' ').unwrap();
    let mut number: u64 = number.parse().unwrap();
    let ring = Ring::open(&config(dir.as_ref(), BUDGET)).unwrap();
    let interface = ring.interface("n", "");
    let mut feed = ring.feed();
    loop {
        for part in 0..2 {
            for _ in 0..17 {
                push(&mut feed, interface, number as i64, &udp(number as u16 % 5, false, number, 700));
                number += 1;
            }
            feed.flush();
            // What is written while the other process reads this may be torn.
            if part == 0 {
                assert!(ring.sync(PATIENCE));
                let mut stdout = std::io::stdout();
                writeln!(stdout, "written {number}").unwrap();
            }
        }
    }
}

#[test]
fn nothing_that_was_written_is_lost() {
    if let Ok(task) = std::env::var(CHILD) {
        write_until_killed(&task);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut next = 0;
    let (mut torn, mut evicted) = (0, false);
    for round in 0..40 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::nothing_that_was_written_is_lost", "--nocapture"])
            .env(CHILD, format!("{next} {}", dir.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|l| l.unwrap());
        let written = lines.filter_map(|l| l.strip_prefix("written ")?.parse::<u64>().ok());
        let written = written.take(1 + round * 7 % 29).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();

        let ring = Ring::open(&config(dir.path(), BUDGET)).unwrap();
        assert!(disk_bytes(dir.path()) <= BUDGET);
        let (section, report) = export(&ring, ExportOptions::default());
        let numbers: Vec<_> = section.packets.iter().map(|p| p.number).collect();
        let (first, last) = (numbers[0], *numbers.last().unwrap());
        assert!(numbers.iter().copied().eq(first..=last));
        assert!(last + 1 >= written, "{last} < {written}");
        assert_eq!(report.damaged_packets + report.gone_packets, 0);
        torn += ring.stats().torn;
        evicted |= first > 0;
        next = last + 1;
    }
    eprintln!("{torn} torn ends in 40 kills, {next} packets");
    assert!(evicted);
}
