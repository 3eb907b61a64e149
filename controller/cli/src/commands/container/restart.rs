//! `berth restart`.

use berth_proto::v1::RestartRequest;

use super::each;
use super::ending::Ending;
use crate::engine::Global;
use crate::failure::Outcome;

/// Restart containers
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    #[command(flatten)]
    ending: Ending,
}

/// Restarts containers and prints their names.
pub(super) async fn run(Args { ending }: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print(&ending.containers, |name| async {
        let request = RestartRequest {
            container: name.clone(),
            timeout_seconds: ending.timeout,
            signal: ending.signal.clone().unwrap_or_default(),
        };
        engine.containers().restart(request).await?;
        Ok(Some(name))
    })
    .await
}
