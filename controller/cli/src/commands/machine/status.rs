//! `berth machine status`.

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::Outcome;
use crate::ui;

/// Show what a machine is doing
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Machine; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints the machine's state.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let name = names::one(&fleet, global, args.name)?;
    let state = fleet.state(&name).await.map_err(|error| error.failure())?;
    ui::line(state.as_str())?;
    Ok(0)
}
