//! `berth network rm`.

use berth_proto::v1::RemoveNetworkRequest;

use super::each;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};

/// Remove networks that no running container is on
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Do not mind when there is none of that name
    #[arg(long, short)]
    force: bool,

    /// Names or ids
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

/// Removes networks and prints their names.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print(&args.networks, |network| async {
        let request = RemoveNetworkRequest {
            network: network.clone(),
        };
        match engine
            .networks()
            .remove(request)
            .await
            .map_err(Failure::from)
        {
            Err(failure) if args.force && failure.reason() == "network-not-found" => Ok(None),
            Err(failure) => Err(failure),
            Ok(_) => Ok(Some(network)),
        }
    })
    .await
}
