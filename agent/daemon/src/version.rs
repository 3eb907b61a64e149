//! Which build this is.

use anyhow::Context as _;
use berth_agent_engine::executable_digest;
use serde_json::json;

use crate::arguments::VersionArguments;

/// Version of this agent.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Git commit that the build was told, or empty.
pub(crate) const COMMIT: &str = match option_env!("BERTH_GIT_COMMIT") {
    Some(commit) => commit,
    None => "",
};

/// What `--version` shows after the program's name.
pub(crate) const LINE: &str = match option_env!("BERTH_VERSION_LINE") {
    Some(line) => line,
    None => concat!("version ", env!("CARGO_PKG_VERSION"), ", build unknown"),
};

/// Prints the version.
#[expect(
    clippy::print_stdout,
    reason = "the answer to a question on the command line"
)]
pub(crate) fn run(arguments: &VersionArguments) -> anyhow::Result<()> {
    if !arguments.json {
        println!("berthd {LINE}");
        return Ok(());
    }
    let sha256 = executable_digest().context("reading the own executable")?;
    println!(
        "{}",
        json!({ "version": VERSION, "commit": COMMIT, "sha256": sha256 })
    );
    Ok(())
}
