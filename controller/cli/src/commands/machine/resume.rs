//! `berth machine resume`.

use berth_controller_fleet::{Fleet, Resumed};
use futures::future::join_all;

use super::interrupt::{left_behind, unless_interrupted};
use super::{create, lifecycle};
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Go on with machines whose creation was cut off
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(
    after_help = "A creation that an error, an interruption or a power cut has ended goes on where it
was, with the flags that it was given. `berth machine rm` takes it back instead."
)]
pub(crate) struct Args {
    /// All machines whose creation was cut off
    #[arg(long, short)]
    all: bool,

    /// Machines
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<String>,
}

/// Goes on with every machine at once; each that fails is told.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let mut names = Vec::new();
    let all = match args.all {
        true => fleet
            .all_unfinished()
            .map_err(|error| Failure::because(&error))?,
        false => Vec::new(),
    };
    for name in args.names.into_iter().chain(all) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        ui::line("Every machine is complete.")?;
        return Ok(0);
    }
    let steps = MachineSteps::of(&names);
    let resumed = join_all(names.iter().map(|name| resume(&fleet, name, &steps)));
    match unless_interrupted(resumed).await? {
        Ok(results) => Ok(lifecycle::told(results)),
        Err(ending) => Err(left_behind(&fleet, &names, ending)),
    }
}

async fn resume(fleet: &Fleet, name: &str, steps: &MachineSteps) -> Result<(), Failure> {
    let text = match fleet.resume(name, steps).await {
        Ok(Resumed::Completed) => format!("Machine {name:?} is complete now."),
        Ok(Resumed::WasComplete) => format!("Machine {name:?} was complete already."),
        Err(error) => {
            // It stays, and the next attempt goes on.
            let _ = steps.end(name, "failed");
            return Err(create::failure(&error, name));
        }
    };
    steps.end(name, &text)?;
    Ok(())
}
