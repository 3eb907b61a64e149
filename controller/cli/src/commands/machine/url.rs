//! `berth machine url`.

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::Outcome;
use crate::ui;

/// Show the address of a machine's engine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Machine; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints the address.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let name = names::one(&fleet, global, args.name)?;
    ui::line(&fleet.url(&name).await.map_err(|error| error.failure())?)?;
    Ok(0)
}
