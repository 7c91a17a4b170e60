//! `cargo xtask bench NAME`: measurements that compare Remora with other tools on the same machine.

use std::path::Path;

use anyhow::Result;

use crate::args::{Args, UsageError};

/// A benchmark: what it is called, what it measures, and the function that runs it with the
/// words after its name.
struct Bench {
    name: &'static str,
    measures: &'static str,
    run: fn(&Path, Args) -> Result<()>,
}

/// Every benchmark, in the order in which `cargo xtask bench` lists them.
const BENCHES: &[Bench] = &[];

pub(crate) fn bench(root: &Path, args: Args) -> Result<()> {
    let mut words = args.verbatim().into_iter();
    let Some(name) = words.next() else {
        for bench in BENCHES {
            println!("{:10} {}", bench.name, bench.measures);
        }
        return Ok(());
    };
    let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
    match BENCHES.iter().find(|bench| bench.name == name) {
        Some(bench) => (bench.run)(root, Args::new(words)),
        None => Err(UsageError(format!("there is no benchmark `{name}`, but [{}]", names.join(", "))).into()),
    }
}
