//! `cargo xtask`: everything that is done to the repository, from the first build to the benchmarks.
//!
//! One file per command. Commands print each program before they run it, so that nothing here is
//! magic: what xtask does can be typed by hand. Dependencies are kept to two small crates because
//! compiling this is the first thing that a newcomer waits for.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "talking to a terminal is its purpose")]

mod args;
mod bench;
mod deny;
mod ebpf;
mod fuzz;
mod lint;
mod packages;
mod product;
mod python;
mod run;
mod setup;
mod test;
mod tidy;
mod toolchain;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use args::{Args, UsageError};

const HELP: &str = "\
Usage: cargo xtask COMMAND [OPTIONS]

Commands:
  up [ARGS..]               install what is missing, build, and run `remora up ARGS..`
  test [--quick] [FILTER]   run all tests; --quick leaves out lints, documentation and live tests;
                            FILTER runs only the tests whose name contains it
  test --layer kernels [FILTER]
                            run the live tests in QEMU on Debian's kernels (minutes for each)
  setup [--tests]           install what building (and testing) needs; does nothing the second time
  ebpf                      build the eBPF object
  tidy                      check format, boundaries between crates, licences, texts and links
  lint                      run clippy and rustdoc over the workspace, warnings are errors
  codegen                   write the generated parts of the repository again
  bench NAME [ARGS..]       run a benchmark; without a name, list them
  fuzz [--seconds N] [TARGET..]
                            run the fuzz targets one after the other (60 seconds each)
  deny                      run cargo-deny with deny.toml (installs it when it is missing)
  help                      print this

Environment:
  REMORA_TARGET_DIR         where builds go (default: ~/.cache/remora/target, shared by all clones)
  REMORA_DEBIAN_MIRROR      where --layer kernels fetches packages (default: apt's Debian mirror)
  REMORA_EBPF_TOOLCHAIN     rustup toolchain for the eBPF object, instead of the one xtask finds
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let arguments = Args::new(words);
    match dispatch(&command, arguments) {
        Ok(code) => code,
        Err(error) if error.is::<UsageError>() => {
            eprintln!("xtask: {error}; see `cargo xtask help`");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, args: Args) -> anyhow::Result<ExitCode> {
    let root = root();
    let done = |()| ExitCode::SUCCESS;
    match command {
        "up" => up::up(&root, args).map(done),
        "test" => test::test(&root, args),
        "setup" => setup::command(&root, args).map(done),
        "ebpf" => {
            args.finish()?;
            ebpf::build(&root).map(|_| ExitCode::SUCCESS)
        }
        "tidy" => tidy::command(&root, args),
        "lint" => lint::command(&root, args).map(done),
        "codegen" => tidy::generated::write(&root, args).map(done),
        "bench" => bench::bench(&root, args).map(done),
        "fuzz" => fuzz::fuzz(&root, args),
        "deny" => deny::deny(&root, args).map(done),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        "" => {
            eprint!("{HELP}");
            Ok(ExitCode::from(2))
        }
        other => Err(UsageError(format!("there is no command `{other}`")).into()),
    }
}

/// The repository's root: the parent of this package.
fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir).to_path_buf()
}
