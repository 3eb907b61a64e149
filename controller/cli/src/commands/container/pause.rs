//! `berth pause` and `berth unpause`.

use berth_proto::v1::{PauseRequest, UnpauseRequest};

use super::each;
use crate::engine::Global;
use crate::failure::Outcome;

/// Stop all processes of containers from running, until unpause
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Let paused containers run on
#[derive(Debug, clap::Args)]
pub(crate) struct UnpauseArgs {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Pauses containers and prints their names.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print_together(&args.containers, |name| async {
        let request = PauseRequest {
            container: name.clone(),
        };
        engine.containers().pause(request).await?;
        Ok(Some(name))
    })
    .await
}

/// Lets containers run on and prints their names.
pub(super) async fn run_on(args: UnpauseArgs, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print_together(&args.containers, |name| async {
        let request = UnpauseRequest {
            container: name.clone(),
        };
        engine.containers().unpause(request).await?;
        Ok(Some(name))
    })
    .await
}
