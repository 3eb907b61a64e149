//! `berth rm`.

use berth_proto::v1::RemoveRequest;

use super::each;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;

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

    /// Remove a link, CONTAINER/ALIAS, and not the container
    #[arg(long, short)]
    link: bool,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Removes containers and prints their names. With `--force` a container that does not exist is
/// told, but is no failure.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print_together(&args.containers, |name| async {
        // Names were once written with a slash before them.
        let container = name.trim_matches('/').to_owned();
        if container.is_empty() {
            return Err(Failure::new("Container name cannot be empty"));
        }
        let request = RemoveRequest {
            container,
            force: args.force,
            volumes: args.volumes,
            link: args.link,
        };
        match engine.containers().remove(request).await {
            Ok(_) => Ok(Some(name)),
            Err(status) => {
                let failure = Failure::from(status);
                if args.force && failure.reason() == "container-not-found" {
                    ui::tell(crate::PROGRAM, &failure);
                    return Ok(None);
                }
                Err(failure)
            }
        }
    })
    .await
}
