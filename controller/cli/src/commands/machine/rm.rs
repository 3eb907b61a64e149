//! `berth machine rm`.

use futures::future::join_all;

use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Remove machines
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The machine and everything on it is gone afterwards. A machine whose creation was
cut off is removed the same way."
)]
pub(crate) struct Args {
    /// Also when the machine cannot be reached or is not known; does not ask
    #[arg(long, short)]
    force: bool,

    /// Do not ask
    #[arg(short)]
    yes: bool,

    /// Machines
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Removes machines, after a question.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    if args.names.is_empty() {
        return Err(Failure::new(
            "Error: Expected to get one or more machine names as arguments",
        ));
    }
    let fleet = global.fleet()?;
    let mut names: Vec<String> = Vec::new();
    for name in args.names {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !args.force && !args.yes {
        ui::line(&format!("About to remove {}", names.join(", ")))?;
        ui::line("WARNING: This action will delete both local reference and remote instance.")?;
        if !ui::confirm("Are you sure? (y/n): ")? {
            return Ok(0);
        }
    } else {
        ui::line(&format!("About to remove {}", names.join(", ")))?;
    }
    let steps = MachineSteps::told();
    let remove = async |name: &String| -> Result<(), Failure> {
        fleet
            .remove(name, args.force, &steps)
            .await
            .map_err(|error| error.failure())?;
        ui::line(&format!("Successfully removed {name}"))?;
        Ok(())
    };
    let code = super::lifecycle::told(join_all(names.iter().map(remove)).await);
    // Whoever forces wants it gone, whatever was said on the way; but gone it must be.
    let is_gone = |name: &String| !fleet.exists(name);
    Ok(if args.force && names.iter().all(is_gone) {
        0
    } else {
        code
    })
}
