//! `berth machine rotate-ca`.

use berth_controller_fleet::{RolloverError, RolloverReport, RolloverState};

use crate::engine::Global;
use crate::failure::{Failure, Outcome, PENDING};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Replace the certificate authority on all machines, in two steps
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The first step makes a new authority and moves every machine to it that can be
reached, while both are trusted; others follow when they are next contacted. Given again, it goes
on. With --finish the old authority is not trusted any more.

Nothing restarts, and ca.pem always is a file that docker can use. It is also the way out when the
authority's key is lost. The exit code is 75 while machines still have to follow."
)]
pub(crate) struct Args {
    /// Stop trusting the old authority
    #[arg(long)]
    finish: bool,

    /// Also when machines have not moved; those are reached through ssh next time
    #[arg(long, short, requires = "finish")]
    force: bool,
}

/// Goes one step on.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let steps = MachineSteps::told();
    let report = if args.finish {
        fleet.finish_rollover(args.force, &steps).await
    } else {
        fleet.rotate_authority(&steps).await
    };
    tell(&report.map_err(|error| failure(&error))?, args.finish)
}

fn failure(error: &RolloverError) -> Failure {
    let failure = Failure::because(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn tell(report: &RolloverReport, finish: bool) -> Outcome {
    let short = report.authority.get(..16).unwrap_or(&report.authority);
    ui::line(&match (finish, report.begun) {
        (true, _) => format!("Authority {short} is the only one that is trusted."),
        (false, true) => format!("Authority {short} is new and signs from now on."),
        (false, false) => format!("Authority {short} is on its way already."),
    })?;
    let mut waiting = 0;
    for (machine, state) in &report.machines {
        match state {
            RolloverState::Done => ui::line(&format!("Machine {machine:?} has moved."))?,
            RolloverState::Waiting(why) => {
                waiting += 1;
                ui::warn(&format!(
                    "machine {machine:?} follows at the next contact: {why}"
                ));
            }
        }
    }
    if !finish && waiting == 0 {
        ui::line("Every machine has moved: berth machine rotate-ca --finish ends it.")?;
    }
    Ok(if waiting > 0 { PENDING } else { 0 })
}
