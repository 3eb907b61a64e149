//! Monitor and init for programs that cannot be them themselves, such as test binaries, whose
//! `main` is the test harness's.

use std::process::ExitCode;

fn main() -> ExitCode {
    berth_provisioners_sandbox::run_if_internal(std::env::args_os()).unwrap_or(ExitCode::FAILURE)
}
