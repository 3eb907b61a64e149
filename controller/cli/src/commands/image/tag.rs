//! `berth tag`.

use berth_proto::v1::TagRequest;

use crate::engine::Global;
use crate::failure::Outcome;

/// Give an image another name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    #[arg(value_name = "IMAGE[:TAG]")]
    source: String,

    /// Name that it gets
    #[arg(value_name = "NAME[:TAG]")]
    target: String,
}

/// Names an image.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let request = TagRequest {
        source: args.source,
        target: args.target,
    };
    engine.images().tag(request).await?;
    Ok(0)
}
