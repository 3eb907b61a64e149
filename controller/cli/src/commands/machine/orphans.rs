//! `berth machine orphans`.

use berth_controller_fleet::{Fleet, Leftover};
use futures::future::join_all;
use serde_json::{Value, json};

use super::lifecycle;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome, chain};
use crate::ui::progress::MachineSteps;
use crate::ui::rows::Listing;
use crate::ui::visible::one_line;
use crate::ui::{self, table};

/// Find what is left of machines that the store does not know any more
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(
    after_help = "Drivers look for what carries this store's tag and no machine of it owns, such as after
a machine's folder was deleted by hand. Machines of other stores are left alone."
)]
pub(crate) struct Args {
    /// Remove all that is found
    #[arg(long)]
    remove: bool,

    /// Only names
    #[arg(long, short)]
    quiet: bool,

    /// json, table, or a template for each
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
}

const LISTING: Listing<'_> = Listing {
    headings: &[("Name", "NAME"), ("DriverName", "DRIVER"), ("Left", "LEFT")],
    default_columns: "{{.Name}}\t{{.DriverName}}\t{{.Left}}",
    layout: table::MACHINE,
};

/// Lists what is left, or removes it.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let report = fleet.orphans().await;
    let mut code = 0;
    for (driver, error) in &report.failures {
        let failure = Failure::new(format!(
            "driver {driver} cannot look everywhere: {}",
            chain(error)
        ));
        let failure = match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        ui::tell(crate::PROGRAM, &failure);
        code = failure.code();
    }
    if args.remove {
        let steps = MachineSteps::told();
        let removed = report.found.iter().map(|left| remove(&fleet, left, &steps));
        return Ok(lifecycle::told(join_all(removed).await).max(code));
    }
    if args.quiet {
        for left in &report.found {
            ui::line(&left.orphan.machine)?;
        }
        return Ok(code);
    }
    let rows: Vec<Value> = report.found.iter().map(row).collect();
    ui::print(&LISTING.format(args.format.as_deref().unwrap_or_default(), &rows)?)?;
    Ok(code)
}

async fn remove(fleet: &Fleet, left: &Leftover, steps: &MachineSteps) -> Result<(), Failure> {
    fleet
        .remove_orphan(left, steps)
        .await
        .map_err(|error| error.failure())?;
    ui::line(&format!(
        "Removed what was left of {:?}",
        left.orphan.machine
    ))?;
    Ok(())
}

fn row(left: &Leftover) -> Value {
    json!({
        "Name": left.orphan.machine,
        "DriverName": left.driver,
        "Left": one_line(&left.orphan.resources.join(", ")),
    })
}
