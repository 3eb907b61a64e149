//! The project's own chores: `cargo xtask demo|test|bench|clean`.
//!
//! Everything a newcomer or CI runs starts here, so that there is one way to do each thing. This
//! room only installs what is missing, builds, and runs; what is tested and measured lives in
//! `tests/`.

mod bench;
mod clean;
mod demo;
mod fixtures;
mod packages;
mod process;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
Chores of berth.

Usage: cargo xtask <CHORE>

Chores:
  demo          Install what is missing, build, and show the main job on two sandbox machines
  demo --keep   The same, but leave the machines running to play with
  test          Install what the tests need and run all of them (what CI runs)
  bench         Measure berth beside Docker in one run and print a table
  clean         Remove everything that demo, test or bench left on this host
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo"] => demo::run(demo::Ending::Remove),
        ["demo", "--keep"] => demo::run(demo::Ending::Keep),
        ["demo", "--clean"] | ["clean"] => clean::run(),
        ["test", rest @ ..] => test::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        [] | ["help" | "--help" | "-h"] => {
            process::say(HELP);
            return ExitCode::SUCCESS;
        }
        [unknown, ..] => {
            process::complain(&format!("xtask: no chore '{unknown}'\n\n{HELP}"));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::complain(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
