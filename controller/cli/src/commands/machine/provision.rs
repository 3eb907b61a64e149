//! `berth machine provision`.

use futures::future::join_all;

use super::names;
use super::sudo::SudoArgs;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui::progress::MachineSteps;

/// Install the agent on machines, or bring it up to date
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Says what it changed. Running it again does no harm: what is there already stays as
it is, the agent is not restarted then, and containers go on running."
)]
pub(crate) struct Args {
    #[command(flatten)]
    sudo: SudoArgs,

    /// Machines; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Provisions every machine at once; each that fails is told.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = args.sudo.apply(global.fleet()?);
    let names = names::several(&fleet, global, args.names)?;
    let steps = MachineSteps::told();
    let provision = async |name: &String| -> Result<(), Failure> {
        fleet
            .provision(name, &steps)
            .await
            .map_err(|error| error.failure())?;
        Ok(())
    };
    Ok(super::lifecycle::told(
        join_all(names.iter().map(provision)).await,
    ))
}
