//! `berth container prune`.

use berth_proto::v1::PruneContainersRequest;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::units::size;

/// Remove all containers that do not run
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Do not ask
    #[arg(long, short)]
    force: bool,

    /// Only those that fit: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

const QUESTION: &str = "WARNING! This will remove all stopped containers.
Are you sure you want to continue? [y/N] ";

/// Removes containers and tells which.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    if !args.force && !ui::confirm(QUESTION)? {
        return Err(Failure::new("container prune has been cancelled"));
    }
    let request = PruneContainersRequest {
        filters: args.filter,
    };
    let engine = global.engine().await?;
    let response = engine.containers().prune(request).await?.into_inner();
    if !response.removed.is_empty() {
        ui::line("Deleted Containers:")?;
        for id in &response.removed {
            ui::line(id)?;
        }
        ui::line("")?;
    }
    let reclaimed = size::decimal(response.space_reclaimed_bytes, 4);
    ui::line(&format!("Total reclaimed space: {reclaimed}"))?;
    Ok(0)
}
