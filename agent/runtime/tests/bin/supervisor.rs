//! The supervisor and the OCI commands as a program of their own, so that the tests of this crate need no agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = berth_agent_runtime::init_main(std::env::args_os()) {
        return code;
    }
    let mut words = std::env::args_os().skip(1).peekable();
    match words.next_if(|word| word == "runtime") {
        Some(_) => berth_agent_runtime::runtime_main(words),
        None => berth_agent_runtime::supervise_main(words),
    }
}
