//! `berth machine upgrade`.

use futures::future::join_all;

use super::names;
use super::sudo::SudoArgs;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Replace the agents of machines by this berth's, with containers running
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Containers run on untouched. An agent that does not become ready, or does not
answer as the one that was sent, is taken back by itself, and the former one runs again.
A machine that is off is started first."
)]
pub(crate) struct Args {
    #[command(flatten)]
    sudo: SudoArgs,

    /// Machines; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Upgrades every machine at once; each that fails is told.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = args.sudo.apply(global.fleet()?);
    let names = names::several(&fleet, global, args.names)?;
    let steps = MachineSteps::told();
    let upgrade = async |name: &String| -> Result<(), Failure> {
        let report = fleet.upgrade(name, &steps).await;
        let report = report.map_err(|error| error.failure())?;
        let version = &report.version;
        let text = match (report.replaced, report.before) {
            (false, _) => format!("Machine {name:?} has this agent already (version {version})."),
            (true, Some(before)) if before != *version => {
                format!("Machine {name:?} was upgraded from version {before} to {version}.")
            }
            (true, _) => {
                format!("Machine {name:?} was upgraded to this berth's agent (version {version}).")
            }
        };
        ui::line(&text)?;
        Ok(())
    };
    Ok(super::lifecycle::told(
        join_all(names.iter().map(upgrade)).await,
    ))
}
