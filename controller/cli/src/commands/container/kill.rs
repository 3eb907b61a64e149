//! `berth kill`.

use berth_proto::v1::KillRequest;

use super::each;
use crate::engine::Global;
use crate::failure::Outcome;

/// Send a signal to running containers
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Name or number of the signal [default: KILL]
    #[arg(long, short, value_name = "SIGNAL")]
    signal: Option<String>,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Signals containers and prints their names.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print_together(&args.containers, |name| async {
        let request = KillRequest {
            container: name.clone(),
            signal: args.signal.clone().unwrap_or_default(),
        };
        engine.containers().kill(request).await?;
        Ok(Some(name))
    })
    .await
}
