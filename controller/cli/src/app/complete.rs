//! What a shell is offered while a command is typed: commands and flags, and the names of machines,
//! containers and images that exist.
//!
//! The shell's script calls this program with [`VARIABLE`] set. Which values an argument takes is
//! told by the name of its value in the help, so that no command says it a second time.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use berth_proto::v1::{ListImagesRequest, ListRequest};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::Shells;

use crate::engine::{Engine, Global};
use crate::failure::Failure;

/// Variable by which the shell's script asks for completions; its value is the shell's name.
const VARIABLE: &str = "BERTH_COMPLETE";

/// How long somebody who pressed the tabulator waits for a machine that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers the shell if it is one that asks; returns whether it was.
pub(super) fn answer(words: &[OsString]) -> Result<bool, Failure> {
    if std::env::var_os(VARIABLE).is_none() {
        return Ok(false);
    }
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(offering)
        .var(VARIABLE)
        .try_complete(words, directory.as_deref())
        .map_err(|error| Failure::new(error.to_string().trim_end().to_owned()))
}

/// The script that a shell reads once to ask this program from then on.
pub(crate) fn script(shell: &str) -> Result<String, Failure> {
    let shells = Shells::builtins();
    let completer = shells
        .completer(shell)
        .ok_or_else(|| Failure::new(format!("there is no completion for the shell {shell:?}")))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "berth", "berth", "berth", &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// All commands, whose arguments know what exists.
fn offering() -> clap::Command {
    with_names(super::whole(), "")
}

/// Adds the names that exist to the arguments of `command` and of those below it.
fn with_names(command: clap::Command, parent: &str) -> clap::Command {
    let path = format!("{parent} {}", command.get_name());
    let of_machines = path.starts_with(" berth machine ") && command.get_name() != "create";
    let children: Vec<String> = command
        .get_subcommands()
        .map(|child| child.get_name().to_owned())
        .collect();
    let command = command.mut_args(|argument| {
        let value = argument.get_value_names().and_then(<[_]>::first).cloned();
        let names = match (value.as_deref(), argument.get_id().as_str()) {
            (Some("CONTAINER"), _) => containers,
            (Some("IMAGE" | "IMAGE[:TAG]" | "NAME[:TAG]"), _) => images,
            (_, "machine") => machines,
            (Some("NAME"), _) if of_machines && argument.is_positional() => machines,
            _ => return argument,
        };
        argument.add(ArgValueCandidates::new(move || candidates(names())))
    });
    children.into_iter().fold(command, |command, child| {
        command.mut_subcommand(child, |child| with_names(child, &path))
    })
}

/// A machine that cannot be asked offers nothing: a message would stand in the typed line.
fn candidates(names: Result<BTreeSet<String>, Failure>) -> Vec<CompletionCandidate> {
    let names = names.unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn machines() -> Result<BTreeSet<String>, Failure> {
    let names = global().fleet()?.names();
    let names = names.map_err(|error| Failure::because(&error))?;
    Ok(names.into_iter().collect())
}

fn containers() -> Result<BTreeSet<String>, Failure> {
    ask(async |engine| {
        let request = ListRequest {
            all: true,
            ..ListRequest::default()
        };
        let listed = engine.containers().list(request).await?.into_inner();
        let containers = listed.containers.into_iter();
        Ok(containers.flat_map(|container| container.names).collect())
    })
}

fn images() -> Result<BTreeSet<String>, Failure> {
    ask(async |engine| {
        let request = ListImagesRequest::default();
        let listed = engine.images().list(request).await?.into_inner();
        let images = listed.images.into_iter();
        Ok(images.flat_map(|image| image.repo_tags).collect())
    })
}

fn ask(
    question: impl AsyncFnOnce(Engine) -> Result<BTreeSet<String>, Failure>,
) -> Result<BTreeSet<String>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async {
        let asked = async { question(global().engine().await?).await };
        let late = |_| Failure::new("the engine did not answer in time");
        tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
    });
    runtime.shutdown_background();
    answer
}

/// The machine and the store that the words typed so far or the environment name.
fn global() -> Global {
    let words: Vec<String> = std::env::args().collect();
    let value = |flags: &[&str], variable: &str| {
        let typed = words.iter().enumerate().find_map(|(place, word)| {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (word.as_str(), words.get(place + 1).cloned()),
            };
            flags.contains(&flag).then_some(value).flatten()
        });
        typed.or_else(|| crate::engine::set(variable))
    };
    Global {
        machine: value(&["--machine", "-M"], "BERTH_MACHINE"),
        host: value(&["--host"], "BERTH_HOST"),
        storage_path: value(&["--storage-path"], "BERTH_STORAGE_PATH").map(Into::into),
        debug: false,
    }
}
