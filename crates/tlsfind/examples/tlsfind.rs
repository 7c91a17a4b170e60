//! Prints the TLS code of a file or a process: `cargo run -p remora-tlsfind --example tlsfind -- PATH|PID`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people")]

use std::fs::File;
use std::process::ExitCode;

use remora_tlsfind::process::{Process, ScanLimits, Scanner};
use remora_tlsfind::{Limits, Report, inspect_with};

fn main() -> ExitCode {
    let mut done = ExitCode::SUCCESS;
    let mut scanner = Scanner::new("/proc", ScanLimits::default());
    for argument in std::env::args().skip(1) {
        if let Ok(pid) = argument.parse() {
            match scanner.process(pid) {
                Ok(process) => show_process(&process),
                Err(e) => {
                    eprintln!("{e}");
                    done = ExitCode::FAILURE;
                }
            }
            continue;
        }
        match File::open(&argument) {
            Ok(file) => show(
                &argument,
                &inspect_with(
                    &file,
                    &Limits::default(),
                    if std::env::var_os("NONAMES").is_some() {
                        remora_tlsfind::Names::None
                    } else {
                        remora_tlsfind::Names::All
                    },
                ),
            ),
            Err(e) => {
                eprintln!("{argument}: {e}");
                done = ExitCode::FAILURE;
            }
        }
    }
    done
}

fn show_process(process: &Process) {
    println!("process {}: {} files with code", process.pid, process.inspected);
    for file in &process.files {
        show(&file.mapping.path.display().to_string(), &file.report);
    }
    for reason in &process.not_readable {
        println!("  not readable: {reason}");
    }
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
