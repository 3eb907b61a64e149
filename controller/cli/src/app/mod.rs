//! From the command line to an exit code.

pub(crate) mod complete;
mod groups;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use berth_controller_docker_machine as docker_machine;
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::commands::{Command, machine};
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::{plugins, ui, usage};

/// Machines with a container engine, made and used from here
#[derive(Debug, clap::Parser)]
#[command(
    name = "berth",
    version,
    propagate_version = false,
    max_term_width = 100
)]
#[command(
    after_help = "Start with `berth machine create demo`, then `berth run --rm busybox echo hello`.
`berth COMMAND --help` says more about a command."
)]
pub(crate) struct App {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Command,
}

/// The commands as they are parsed.
fn command() -> clap::Command {
    groups::lay_out(App::command())
}

/// Every command with all of its flags, for completion and manual pages.
pub(crate) fn whole() -> clap::Command {
    let mut app = command();
    app.build();
    app.mut_subcommand("machine", |machine| {
        machine.mut_subcommand("create", |_| machine::create::complete_command())
    })
}

/// Name under which the program is docker-machine.
const MACHINE_NAME: &str = "docker-machine";

/// Does what the words say.
pub(crate) fn main(words: Vec<OsString>) -> ExitCode {
    if let Some(call) = as_docker_machine(&words) {
        let code = docker_machine::run(
            call,
            plugins::drivers_of_docker_machine(),
            &docker_machine::World::real(),
        );
        return ExitCode::from(code);
    }
    let outcome = complete::answer(&words).and_then(|answered| {
        if answered {
            return Ok(0);
        }
        let (global, command) = parse(words)?;
        run(&global, command)
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            ui::tell(crate::PROGRAM, &failure);
            ExitCode::from(failure.code())
        }
    }
}

/// Returns how docker-machine was called, if it was: by a link of that name, or as the first word.
fn as_docker_machine(words: &[OsString]) -> Option<docker_machine::Call> {
    let (program, rest) = words.split_first()?;
    let typed = program.to_string_lossy().into_owned();
    let stem = Path::new(program).file_stem();
    if stem.is_some_and(|stem| stem == MACHINE_NAME) {
        return Some(docker_machine::Call {
            program: typed,
            words: rest.to_vec(),
        });
    }
    let (first, rest) = rest.split_first()?;
    (first == MACHINE_NAME).then(|| docker_machine::Call {
        program: format!("{typed} {MACHINE_NAME}"),
        words: rest.to_vec(),
    })
}

fn parse(words: Vec<OsString>) -> Result<(Global, Command), Failure> {
    let usage = |error: clap::Error| {
        let meant = usage::Meant::by(&words, command());
        usage::failure(&error, &meant, false)
    };
    let matches = command()
        .args_override_self(true)
        .try_get_matches_from(&words)
        .map_err(usage)?;
    let app = App::from_arg_matches(&matches).map_err(usage)?;
    Ok((app.global, app.command))
}

fn run(global: &Global, command: Command) -> Outcome {
    if global.debug {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new("berth=debug,info"))
            .with_writer(std::io::stderr)
            .init();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(command.run(global));
    // A thread may still wait for standard input; nobody waits for that thread.
    runtime.shutdown_background();
    outcome
}
