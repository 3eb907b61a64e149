//! `berth container prune`.

use berth_proto::v1::PruneContainersRequest;

use crate::commands::pruned::Pruned;
use crate::engine::{Engine, Global};
use crate::failure::{Failure, Outcome};
use crate::ui;

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
    let engine = global.engine().await?;
    prune(&engine, args.filter).await?.print()?;
    Ok(0)
}

/// Removes containers that do not run.
pub(in crate::commands) async fn prune(
    engine: &Engine,
    filters: Vec<String>,
) -> Result<Pruned, Failure> {
    let request = PruneContainersRequest { filters };
    let response = engine.containers().prune(request).await?.into_inner();
    Ok(Pruned::new(
        "Deleted Containers:",
        response.removed,
        response.space_reclaimed_bytes,
    ))
}
