//! Measures berth beside Docker, in one run and interleaved, and prints medians.
//!
//! Both daemons serve the same images from a registry on their own loopback: Docker's in a network
//! namespace of its own over its unix socket, berth's in a sandbox machine over mutually
//! authenticated TLS, as its users reach it. Started by `cargo xtask bench`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is its purpose"
)]

mod berth;
mod docker;
mod fixture;
mod fleet;
mod measure;
mod memory;
mod registry;
mod scenarios;
mod shell;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

const HELP: &str = "\
Usage: cargo xtask bench [ROUNDS]

ROUNDS  how often each quick command is timed (default 30)
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let rounds = match std::env::args().nth(1).as_deref() {
        None => 30,
        Some("-h" | "--help") => {
            print!("{HELP}");
            return Ok(());
        }
        Some(number) => number
            .parse()
            .with_context(|| format!("not a number: {number}"))?,
    };
    let folder = fixture::fresh_folder()?;
    eprintln!("Starting dockerd, and making a sandbox machine");
    let docker = docker::Docker::start(&folder)?;
    let berth = berth::Berth::start(&folder)?;
    fixture::provide_images(&folder, &docker, &berth)?;
    println!("{:<44} {:>12} {:>12} {:>8}", "", "berth", "docker", "ratio");
    for row in scenarios::run_all(rounds, &docker, &berth)? {
        println!("{row}");
    }
    Ok(())
}
