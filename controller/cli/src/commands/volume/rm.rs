//! `berth volume rm`.

use berth_proto::v1::RemoveVolumeRequest;

use super::each;
use crate::engine::Global;
use crate::failure::Outcome;

/// Remove volumes that no container uses
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Do not mind when there is none of that name
    #[arg(long, short)]
    force: bool,

    /// Names
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

/// Removes volumes and prints their names.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print(&args.volumes, |name| async {
        let request = RemoveVolumeRequest {
            name: name.clone(),
            force: args.force,
        };
        engine.volumes().remove(request).await?;
        Ok(Some(name))
    })
    .await
}
