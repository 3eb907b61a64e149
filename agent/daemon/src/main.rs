//! `berthd`, the agent: the engine of one machine behind its listeners.
//!
//! One binary, six ways to run it: `serve` is the agent, `supervise` holds one container and is
//! started by the agent only, `watch` keeps the agent running on machines without a service manager,
//! `connect` joins its standard input and output to the agent, `runtime` runs OCI bundles without any
//! agent, and `version` says which build this is.

mod accept;
mod arguments;
mod config;
mod connect;
mod connection;
mod handshakes;
mod idle;
mod listen;
mod notify;
mod pid_file;
mod serve;
mod service;
mod tls;
mod version;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command, ServeArguments};

fn main() -> ExitCode {
    if let Some(code) = berth_agent_runtime::init_main(std::env::args_os()) {
        return code;
    }
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        // First of all and before any thread: a container waits for it, and it must stay small.
        Some(word) if word == "supervise" => return berth_agent_runtime::supervise_main(words),
        // Likewise, and before any file is opened; it has a command line of its own.
        Some(word) if word == "runtime" => return berth_agent_runtime::runtime_main(words),
        _ => {}
    }
    // Modes of what images and containers get must not depend on who started us.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let arguments = Arguments::parse();
    let result = match arguments
        .command
        .unwrap_or_else(|| Command::Serve(ServeArguments::default()))
    {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Connect(arguments) => connect::run(&arguments),
        // Usually taken care of above, before the command line was looked at.
        Command::Runtime { words } => return berth_agent_runtime::runtime_main(words),
        Command::Version(arguments) => version::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a program that cannot go on"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("berthd: {error:#}");
}
