//! `berth stop`.

use berth_proto::v1::StopRequest;

use super::each;
use crate::engine::Global;
use crate::failure::Outcome;

/// Stop running containers
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

/// Stops containers and prints their names.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print(&args.containers, |name| async {
        let request = StopRequest {
            container: name.clone(),
            timeout_seconds: args.timeout,
            signal: args.signal.clone().unwrap_or_default(),
        };
        engine.containers().stop(request).await?;
        Ok(Some(name))
    })
    .await
}
