//! `berth volume prune`.

use berth_proto::v1::PruneVolumesRequest;

use crate::commands::pruned::Pruned;
use crate::engine::{Engine, Global};
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Remove volumes that no container uses
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Also those with a name
    #[arg(long, short)]
    all: bool,

    /// Do not ask
    #[arg(long, short)]
    force: bool,

    /// Only those that fit: label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// Removes volumes and tells which.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let names_all = |filter: &String| filter.starts_with("all=");
    if args.all && args.filter.iter().any(names_all) {
        return Err(Failure::new(
            "conflicting options: cannot specify both --all and --filter all=1",
        ));
    }
    let which = if args.all { "all" } else { "anonymous" };
    let question = format!(
        "WARNING! This will remove {which} local volumes not used by at least one container.
Are you sure you want to continue? [y/N] "
    );
    if !args.force && !ui::confirm(&question)? {
        return Err(Failure::new("volume prune has been cancelled"));
    }
    let engine = global.engine().await?;
    prune(&engine, args.filter, args.all).await?.print()?;
    Ok(0)
}

/// Removes volumes, those with a name only if `all` are meant.
pub(in crate::commands) async fn prune(
    engine: &Engine,
    mut filters: Vec<String>,
    all: bool,
) -> Result<Pruned, Failure> {
    if all {
        filters.push("all=1".to_owned());
    }
    let request = PruneVolumesRequest { filters };
    let response = engine.volumes().prune(request).await?.into_inner();
    Ok(Pruned::new(
        "Deleted Volumes:",
        response.removed,
        response.space_reclaimed_bytes,
    ))
}
