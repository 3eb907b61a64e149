//! `berth restart`.

use berth_proto::v1::RestartRequest;

use super::each;
use crate::engine::Global;
use crate::failure::Outcome;

/// Restart containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Signal instead of the container's own
    #[arg(long, short, value_name = "SIGNAL")]
    signal: Option<String>,

    /// Seconds to wait before it is killed; -1 to wait for ever
    #[arg(
        long,
        short,
        alias = "time",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    timeout: Option<i64>,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Restarts containers and prints their names.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print(&args.containers, |name| async {
        let request = RestartRequest {
            container: name.clone(),
            timeout_seconds: args.timeout,
            signal: args.signal.clone().unwrap_or_default(),
        };
        engine.containers().restart(request).await?;
        Ok(Some(name))
    })
    .await
}
