//! `berth machine active`.

use std::time::Duration;

use berth_controller_fleet::RowState;

use super::ls;
use crate::engine::{self, Global};
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Show which machine the shell's DOCKER_HOST means
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds that each machine has to answer
    #[arg(long, short, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
}

/// Prints the name of the active machine.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let none = || Failure::new("No active host found").hint("eval \"$(berth machine env NAME)\"");
    let host = engine::set("DOCKER_HOST").ok_or_else(none)?;
    let rows = global
        .fleet()?
        .ls(Duration::from_secs(args.timeout))
        .await
        .map_err(|error| Failure::because(&error))?;
    if let Some(active) = rows.iter().find(|row| ls::is_active(row, &host)) {
        ui::line(&active.name)?;
        return Ok(0);
    }
    if rows.iter().any(|row| row.state == RowState::Timeout) {
        return Err(Failure::new("Error getting active host: timeout"));
    }
    Err(none())
}
