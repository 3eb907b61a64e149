//! From the command line to an exit code.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::commands::{Command, machine};
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::{ui, usage};

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

/// The program under docker-machine's name: the machine commands are the top level.
#[derive(Debug, clap::Parser)]
#[command(name = "docker-machine", version, max_term_width = 100)]
struct MachineApp {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: machine::Command,
}

/// Every command with all of its flags, for completion and manual pages.
pub(crate) fn whole() -> clap::Command {
    let mut app = App::command();
    app.build();
    app.mut_subcommand("machine", |machine| {
        machine.mut_subcommand("create", |_| machine::create::complete_command())
    })
}

/// Name under which the machine commands are the top level.
const MACHINE_NAME: &str = "docker-machine";

/// Does what the words say.
pub(crate) fn main(words: Vec<OsString>) -> ExitCode {
    let called_as = words.first().map(Path::new).and_then(Path::file_stem);
    let as_machine = called_as.is_some_and(|name| name == MACHINE_NAME);
    let program = if as_machine {
        MACHINE_NAME
    } else {
        crate::PROGRAM
    };
    let outcome = parse(words, as_machine).and_then(|(global, command)| run(&global, command));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            ui::tell(program, &failure);
            ExitCode::from(failure.code())
        }
    }
}

fn parse(words: Vec<OsString>, as_machine: bool) -> Result<(Global, Command), Failure> {
    let usage = |error: clap::Error| usage::failure(&error, as_machine);
    if as_machine {
        let matches = MachineApp::command()
            .try_get_matches_from(words)
            .map_err(usage)?;
        let app = MachineApp::from_arg_matches(&matches).map_err(usage)?;
        return Ok((app.global, Command::Machine(app.command)));
    }
    let matches = App::command().try_get_matches_from(words).map_err(usage)?;
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
