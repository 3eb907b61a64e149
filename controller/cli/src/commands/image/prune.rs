//! `berth image prune`.

use berth_proto::v1::PruneImagesRequest;

use super::rmi;
use crate::commands::pruned::Pruned;
use crate::engine::{Engine, Global};
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Remove images that no container uses
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Also those with a name
    #[arg(long, short)]
    all: bool,

    /// Do not ask
    #[arg(long, short)]
    force: bool,

    /// Only those that fit: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// Removes images and tells which.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let which = if args.all {
        "images without at least one container associated to them"
    } else {
        "dangling images"
    };
    let question = format!(
        "WARNING! This will remove all {which}.
Are you sure you want to continue? [y/N] "
    );
    if !args.force && !ui::confirm(&question)? {
        return Err(Failure::new("image prune has been cancelled"));
    }
    let engine = global.engine().await?;
    prune(&engine, args.filter, args.all).await?.print()?;
    Ok(0)
}

/// Removes images, those with a name only if `all` are meant.
pub(in crate::commands) async fn prune(
    engine: &Engine,
    mut filters: Vec<String>,
    all: bool,
) -> Result<Pruned, Failure> {
    filters.push(format!("dangling={}", !all));
    let request = PruneImagesRequest { filters };
    let response = engine.images().prune(request).await?.into_inner();
    let lines =
        rmi::lines(response.removed).map(|(done, what)| format!("{}: {what}", done.to_lowercase()));
    Ok(Pruned::new(
        "Deleted Images:",
        lines.collect(),
        response.space_reclaimed_bytes,
    ))
}
