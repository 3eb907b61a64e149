//! `berth rmi`.

use berth_proto::v1::{RemoveImageRequest, RemovedImage, removed_image};

use super::each;
use crate::engine::Global;
use crate::failure::Outcome;

/// Remove images
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Also when a stopped container uses it or it has several names
    #[arg(long, short)]
    force: bool,

    /// Keep parents that nobody names
    #[arg(long)]
    no_prune: bool,

    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Removes images and prints what is gone.
pub(in crate::commands) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print(&args.images, |name| async {
        let request = RemoveImageRequest {
            name,
            force: args.force,
            no_prune: args.no_prune,
        };
        let response = engine.images().remove(request).await?.into_inner();
        let lines: Vec<String> = lines(response.removed)
            .map(|(done, what)| format!("{done}: {what}"))
            .collect();
        Ok((!lines.is_empty()).then(|| lines.join("\n")))
    })
    .await
}

/// What was done, and with what.
pub(super) fn lines(removed: Vec<RemovedImage>) -> impl Iterator<Item = (&'static str, String)> {
    removed.into_iter().filter_map(|line| match line.what? {
        removed_image::What::Untagged(name) => Some(("Untagged", name)),
        removed_image::What::Deleted(id) => Some(("Deleted", id)),
    })
}
