//! The runtime on a command line, as the OCI runtime specification wants it: `create`, `start`, `state`, `kill`, `delete`.
//!
//! No program stays with such a container: whoever calls these commands keeps its streams and reaps it. They share
//! everything that makes a container with the supervisor; what is here is the life in between, in files of a directory.

mod create;
mod delete;
mod error;
mod features;
mod kill;
mod log;
mod record;
mod settle;
mod start;
mod time;
mod words;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use self::error::OciError;
use self::log::Log;
use self::record::{Record, Store};
use self::words::Words;

/// Where containers are remembered unless `--root` says otherwise.
const USUAL_ROOT: &str = "/run/berth/runtime";

const HELP: &str = "\
Runs containers from OCI bundles

Usage: berthd runtime [OPTIONS] COMMAND

Commands:
  create [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] [--no-pivot] [--preserve-fds N] ID
  start ID
  state ID
  kill [--all] ID [SIGNAL]
  delete [--force] ID
  list [--quiet] [--format table|json]
  features

Options:
  --root DIR           Where containers are remembered [default: /run/berth/runtime]
  --log FILE           Also write errors and warnings to a file
  --log-format FORMAT  Of that file: text or json [default: text]
";

/// Runs one command of `berthd runtime`; `arguments` are those after that word.
///
/// Must be called before the process starts any thread or opens any file: descriptors that a container is to get are
/// taken over as they were inherited.
pub fn runtime_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words = Words::new(arguments);
    let mut log = Log::default();
    match run(&mut words, &mut log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(words: &mut Words, log: &mut Log) -> Result<(), OciError> {
    let root = words.global("root")?.unwrap_or_else(|| USUAL_ROOT.into());
    let (file, format) = (words.global("log")?, words.global("log-format")?);
    *log = Log::new(file.map(PathBuf::from), format.as_deref())?;
    let store = Store::new(PathBuf::from(root));
    match words.command()?.as_deref() {
        None | Some("help") => print(HELP),
        Some("create") => create::run(&store, words, log),
        Some("start") => start::run(&store, words, log),
        Some("state") => {
            let id = words.only("a container")?;
            let record = store.read(&id)?;
            print(&json(&record.state(&store))?)
        }
        Some("kill") => kill::run(&store, words),
        Some("delete") => delete::run(&store, words, log),
        Some("list") => list(&store, words),
        Some("features") => {
            words.end()?;
            print(&json(&features::all())?)
        }
        Some(other) => Err(OciError::Usage(format!("no such command: {other}"))),
    }
}

fn list(store: &Store, words: &mut Words) -> Result<(), OciError> {
    let is_quiet = words.flag("quiet", Some('q'));
    let format = words.value("format", Some('f'))?;
    words.end()?;
    let records = store.list()?;
    let states: Vec<_> = records.iter().map(|record| record.state(store)).collect();
    if is_quiet {
        let ids = records.iter().map(|record| format!("{}\n", record.id));
        return print(&ids.collect::<String>());
    }
    match format.as_deref() {
        None | Some("table") => {
            let mut text = format!(
                "{:<24} {:<8} {:<8} {:<32} {}\n",
                "ID", "PID", "STATUS", "BUNDLE", "CREATED"
            );
            for (record, state) in records.iter().zip(&states) {
                text.push_str(&format!(
                    "{:<24} {:<8} {:<8} {:<32} {}\n",
                    record.id,
                    state.pid,
                    state.status,
                    record.bundle.display(),
                    record.created
                ));
            }
            print(&text)
        }
        Some("json") => print(&json(&states)?),
        Some(other) => Err(OciError::Usage(format!("no such format: {other}"))),
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, OciError> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|e| OciError::io("writing", "the answer", e.into()))?;
    Ok(text + "\n")
}

fn print(text: &str) -> Result<(), OciError> {
    let written = io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|e| OciError::io("writing", "the answer", e))
}
