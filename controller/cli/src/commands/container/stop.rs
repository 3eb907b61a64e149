//! `berth stop`.

use berth_proto::v1::StopRequest;

use super::each;
use super::ending::Ending;
use crate::engine::Global;
use crate::failure::Outcome;

/// Stop running containers
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    #[command(flatten)]
    ending: Ending,
}

/// Stops containers and prints their names.
pub(super) async fn run(Args { ending }: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print_together(&ending.containers, |name| async {
        let request = StopRequest {
            container: name.clone(),
            timeout_seconds: ending.timeout,
            signal: ending.signal.clone().unwrap_or_default(),
        };
        engine.containers().stop(request).await?;
        Ok(Some(name))
    })
    .await
}
