//! Measures berth beside Docker and podman, in one run and in turn, and prints medians.
//!
//! All serve the same images from a registry on their own loopback: Docker over its unix socket and
//! podman without a daemon, each in a network namespace of its own; berth in a sandbox machine over
//! mutually authenticated TLS, as its users reach it. Started by `cargo xtask bench`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is its purpose"
)]

mod arguments;
mod contestants;
mod fixture;
mod measure;
mod memory;
mod namespace;
mod registry;
mod report;
mod scenarios;
mod shell;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::arguments::Arguments;
use crate::contestants::{Berth, Contestant, Docker, Podman};
use crate::scenarios::{Bench, PARTS};

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
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.help {
        print!("{}", arguments::HELP);
        return Ok(());
    }
    let folder = fixture::fresh_folder()?;
    eprintln!("Starting dockerd, and making a sandbox machine");
    let docker = Docker::start(&folder)?;
    let podman = Podman::start(&folder)?;
    let berth = Berth::start(&folder)?;
    let contestants: [&dyn Contestant; 3] = [&berth, &docker, &podman];
    // Before anybody has worked.
    let idle = scenarios::basics::idle_memory(&contestants);
    eprintln!("Making images");
    fixture::provide_small_images(&folder, &contestants)?;
    podman.choose_runtime()?;
    if arguments.wants("basics") {
        fixture::provide_large_images(&folder, &docker, &berth)?;
    }
    let bench = Bench {
        arguments: &arguments,
        berth: &berth,
        contestants: &contestants,
        folder: &folder,
    };
    let names: Vec<&str> = contestants.iter().map(|one| one.name()).collect();
    let mut rows = vec![idle];
    for (name, part) in PARTS {
        if arguments.wants(name) {
            let begin = Instant::now();
            let measured = part(&bench)?;
            let taken = begin.elapsed().as_secs_f64();
            eprintln!("{name}, {taken:.0} s\n{}", report::table(&names, &measured));
            rows.extend(measured);
        }
    }
    if arguments.json {
        println!("{:#}", report::json(&names, &rows));
    } else {
        print!("{}", report::table(&names, &rows));
    }
    Ok(())
}
