//! `berth rename`.

use berth_proto::v1::RenameRequest;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};

/// Give a container another name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// The new name
    #[arg(value_name = "NEW_NAME")]
    new_name: String,
}

/// Renames a container.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let (container, new_name) = (args.container.trim(), args.new_name.trim());
    if container.is_empty() || new_name.is_empty() {
        return Err(Failure::new("Neither old nor new names may be empty"));
    }
    let request = RenameRequest {
        container: container.to_owned(),
        new_name: new_name.to_owned(),
    };
    let engine = global.engine().await?;
    engine.containers().rename(request).await?;
    Ok(0)
}
