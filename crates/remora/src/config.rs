//! The configuration file: the lowest of three voices, below the environment and the command line.
//!
//! Its keys are the long names of options. It is put in front of the parser as options that were
//! not typed, so that values are checked in one place and help texts are true for it as well.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, error::ErrorKind};
use serde_json::{Map, Value};

use crate::cli::Arguments;

/// Parses the command line, the environment and the configuration file that they name.
///
/// # Errors
/// As clap reports them: unknown options, bad values, a file that cannot be used.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    honour_port(&mut args);
    let mut command = Arguments::command();
    let first = match command.try_get_matches_from_mut(&args) {
        Ok(matches) => matches,
        // A required option may stand in the file.
        Err(e) if e.kind() == ErrorKind::MissingRequiredArgument && config_path(&args).is_some() => {
            let Some(path) = config_path(&args) else { return Err(e) };
            let name =
                args.iter().skip(1).filter_map(|a| a.to_str()).find(|a| command.find_subcommand(a).is_some());
            let file = read(&path).map_err(|m| command.error(ErrorKind::ValueValidation, m))?;
            let extra = options(&mut command, name.unwrap_or_default(), None, &file)?;
            args.extend(extra);
            return finish(command, &args);
        }
        Err(e) => return Err(e),
    };
    let Some(path) = first.get_one::<PathBuf>("config") else { return Arguments::from_arg_matches(&first) };
    let Some((name, sub)) = first.subcommand() else { return Arguments::from_arg_matches(&first) };
    let file = read(path).map_err(|m| command.error(ErrorKind::ValueValidation, m))?;
    let extra = options(&mut command, name, Some(sub), &file)?;
    args.extend(extra);
    finish(command, &args)
}

fn finish(mut command: Command, args: &[OsString]) -> Result<Arguments, clap::Error> {
    Arguments::from_arg_matches(&command.try_get_matches_from_mut(args)?)
}

/// `PORT` sets the port of `--listen`, as platforms that start containers expect.
fn honour_port(args: &mut Vec<OsString>) {
    let Ok(port) = std::env::var("PORT") else { return };
    let serves = args.iter().skip(1).any(|a| a == "up" || a == "hub");
    let told = args.iter().any(|a| a.to_str().is_some_and(|a| a == "--listen" || a.starts_with("--listen=")))
        || std::env::var_os("REMORA_LISTEN").is_some();
    if serves && !told && port.parse::<u16>().is_ok() {
        args.push(format!("--listen=127.0.0.1:{port}").into());
    }
}

fn config_path(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let text = arg.to_str().unwrap_or_default();
        if let Some(path) = text.strip_prefix("--config=") {
            return Some(path.into());
        }
        if text == "--config" {
            return args.next().map(PathBuf::from);
        }
    }
    std::env::var_os("REMORA_CONFIG").map(PathBuf::from)
}

fn read(path: &std::path::Path) -> Result<Map<String, Value>, String> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|e| format!("cannot read the configuration {shown}: {e}"))?;
    // JSON is YAML, but its own parser gives better messages for it.
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str::<Value>(&text).map_err(|e| e.to_string())
    } else {
        serde_saphyr::from_str::<Value>(&text).map_err(|e| e.to_string())
    };
    match parsed.map_err(|e| format!("the configuration {shown} cannot be parsed: {e}"))? {
        Value::Object(object) => Ok(object),
        Value::Null => Ok(Map::new()),
        _ => Err(format!("the configuration {shown} must be an object of option names and values")),
    }
}

/// The file's settings for the subcommand as options, without those that were given otherwise.
fn options(
    command: &mut Command,
    name: &str,
    given: Option<&ArgMatches>,
    file: &Map<String, Value>,
) -> Result<Vec<OsString>, clap::Error> {
    command.build();
    let known_anywhere = |key: &str| {
        command.get_subcommands().flat_map(Command::get_arguments).any(|a| a.get_long() == Some(key))
    };
    let sub = command.find_subcommand(name);
    let mut out = Vec::new();
    let mut problem = None;
    for (key, value) in file {
        let key = key.replace('_', "-");
        let Some(arg) = sub.and_then(|s| s.get_arguments().find(|a| a.get_long() == Some(&key))) else {
            // One file may serve several subcommands, but a name that none of them has is a slip.
            if !known_anywhere(&key) {
                problem = Some(format!("the configuration names {key:?}, which is no option of remora"));
                break;
            }
            continue;
        };
        let source = given.and_then(|m| m.value_source(arg.get_id().as_str()));
        let from_environment = arg.get_env().is_some_and(|e| std::env::var_os(e).is_some());
        if from_environment || matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let takes_value = arg.get_action().takes_values();
        match value {
            Value::Bool(on) if !takes_value => {
                if *on {
                    out.push(format!("--{key}").into());
                }
            }
            Value::Array(items) => {
                out.extend(items.iter().map(|i| OsString::from(format!("--{key}={}", scalar(i)))));
            }
            Value::Null => {}
            Value::Object(_) => {
                problem = Some(format!("the configuration gives {key:?} an object; a value is needed"));
                break;
            }
            other => out.push(format!("--{key}={}", scalar(other)).into()),
        }
    }
    match problem {
        Some(message) => Err(command.error(ErrorKind::ValueValidation, message)),
        None => Ok(out),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::Command as Sub;

    fn run(file: &str, args: &[&str]) -> Result<Arguments, clap::Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("remora.conf");
        std::fs::write(&path, file).unwrap();
        let config = format!("--config={}", path.display());
        parse(["remora"].iter().chain(args).map(OsString::from).chain([config.into()]))
    }

    #[test]
    fn the_file_is_the_lowest_voice() {
        let file = "listen: 127.0.0.1:1000\nport: [80, 443]\ndemo: true\nretention-age: 2h\n";
        let Sub::Up(up) = run(file, &["up", "--listen", "127.0.0.1:2000"]).unwrap().command else { panic!() };
        assert_eq!(up.server.listen.port(), 2000);
        assert_eq!(up.capture.port, [80, 443]);
        assert!(up.demo);
        assert_eq!(up.storage.retention_age.as_secs(), 7200);
    }

    #[test]
    fn json_works_and_a_required_option_may_stand_in_it() {
        let Sub::Agent(a) =
            run(r#"{"hub": "https://h:1", "listen": "127.0.0.1:5"}"#, &["agent"]).unwrap().command
        else {
            panic!()
        };
        assert_eq!(a.hub, "https://h:1");
    }

    #[test]
    fn slips_are_named() {
        for (file, word) in
            [("listne: x", "listne"), ("port: {a: 1}", "port"), ("[1]", "object"), ("port: x", "port")]
        {
            let e = run(file, &["up"]).unwrap_err().to_string();
            assert!(e.contains(word), "{file}: {e}");
        }
    }
}
