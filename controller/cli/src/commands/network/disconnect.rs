//! `berth network disconnect`.

use berth_proto::v1::DisconnectNetworkRequest;

use crate::engine::Global;
use crate::failure::Outcome;

/// Disconnect a container from a network
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Also when the container does not do its part; it always does
    #[arg(long, short)]
    force: bool,

    /// Name or id of the network
    network: String,

    /// Name or id of the container
    container: String,
}

/// Disconnects a container.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let request = DisconnectNetworkRequest {
        network: args.network,
        container: args.container,
    };
    let engine = global.engine().await?;
    engine.networks().disconnect_container(request).await?;
    Ok(0)
}
