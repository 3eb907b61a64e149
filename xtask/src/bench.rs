//! `cargo xtask bench`: builds what people run and measures it beside Docker.

use anyhow::{Result, bail};

use crate::packages;
use crate::process::{cargo, is_root, programs, run as run_command};

/// Builds the release programs and hands `arguments` to `tests/bench`.
///
/// # Errors
/// When we are not root, something cannot be installed or built, or the bench fails.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    if !is_root() {
        bail!("the bench makes machines and starts a Docker daemon: run it as root");
    }
    packages::install(&[packages::SANDBOX, packages::TESTS, packages::BENCH])?;
    run_command(cargo().args(["build", "--release", "--quiet"]))?;
    run_command(cargo().args(["build", "--quiet", "--package", "berth-tests-bench"]))?;
    let mut bench = std::process::Command::new(programs("debug").join("berth-tests-bench"));
    bench
        .args(arguments)
        .env("BERTH_BIN", programs("release").join("berth"));
    run_command(&mut bench)
}
