//! `berth rm`.

use berth_proto::v1::RemoveRequest;

use super::each;
use crate::engine::Global;
use crate::failure::Outcome;

/// Remove containers
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Kill what runs; what does not exist is no error
    #[arg(long, short)]
    force: bool,

    /// Remove their anonymous volumes too
    #[arg(long, short)]
    volumes: bool,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Removes containers and prints their names.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print(&args.containers, |name| async {
        let request = RemoveRequest {
            container: name.clone(),
            force: args.force,
            volumes: args.volumes,
            link: false,
        };
        engine.containers().remove(request).await?;
        Ok(Some(name))
    })
    .await
}
