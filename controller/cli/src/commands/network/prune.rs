//! `berth network prune`.

use berth_proto::v1::PruneNetworksRequest;

use crate::commands::pruned::Pruned;
use crate::engine::{Engine, Global};
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Remove all networks that no running container is on
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

const QUESTION: &str =
    "WARNING! This will remove all custom networks not used by at least one container.
Are you sure you want to continue? [y/N] ";

/// Removes networks and tells which.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    if !args.force && !ui::confirm(QUESTION)? {
        return Err(Failure::new("network prune has been cancelled"));
    }
    let engine = global.engine().await?;
    let removed = removed(&engine, args.filter).await?;
    if !removed.is_empty() {
        ui::line("Deleted Networks:")?;
        for name in &removed {
            ui::line(name)?;
        }
        ui::line("")?;
    }
    Ok(0)
}

/// Removes networks, of which none takes room.
pub(in crate::commands) async fn prune(
    engine: &Engine,
    filters: Vec<String>,
) -> Result<Pruned, Failure> {
    let removed = removed(engine, filters).await?;
    Ok(Pruned::new("Deleted Networks:", removed, 0))
}

async fn removed(engine: &Engine, filters: Vec<String>) -> Result<Vec<String>, Failure> {
    let request = PruneNetworksRequest { filters };
    Ok(engine.networks().prune(request).await?.into_inner().removed)
}
