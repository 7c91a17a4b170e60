//! Prints the TLS code of a file: `cargo run -p remora-tlsfind --example tlsfind -- PATH`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people")]

use std::fs::File;
use std::process::ExitCode;

use remora_tlsfind::{Limits, Report, inspect};

fn main() -> ExitCode {
    let mut done = ExitCode::SUCCESS;
    for argument in std::env::args().skip(1) {
        match File::open(&argument) {
            Ok(file) => show(&argument, &inspect(&file, &Limits::default())),
            Err(e) => {
                eprintln!("{argument}: {e}");
                done = ExitCode::FAILURE;
            }
        }
    }
    done
}

fn show(name: &str, report: &Report) {
    println!("{name}");
    for code in &report.codes {
        let version = code.version.as_deref().unwrap_or("version unknown");
        println!("  {} {version}, by {:?}, {} % sure", code.kind, code.found, code.confidence);
        for point in &code.points {
            println!(
                "    {:<34} {:#10x} +{:<5} returns {:x?} tails {:x?}",
                point.function.symbol(),
                point.entry,
                point.len,
                point.returns,
                point.tails.iter().map(|t| (t.at, t.to)).collect::<Vec<_>>()
            );
        }
    }
    for problem in &report.problems {
        println!("  {problem}");
    }
    println!("  {:?}", report.work);
}
