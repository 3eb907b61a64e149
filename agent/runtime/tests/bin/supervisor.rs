//! The supervisor as a program of its own, so that the tests of this crate need no agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    berth_agent_runtime::supervise_main(std::env::args_os().skip(1))
}
