//! `berth diff`.

use berth_proto::v1::{ChangesRequest, change};

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Inspect changes to files or directories on a container's filesystem
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "A was added, C was changed, D was deleted.")]
pub(crate) struct Args {
    /// Name or id
    container: String,
}

/// Prints a line for each change.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    if args.container.is_empty() {
        return Err(Failure::new("Container name cannot be empty"));
    }
    let request = ChangesRequest {
        container: args.container,
    };
    let mut files = global.engine().await?.files();
    for change in files.changes(request).await?.into_inner().changes {
        let letter = match change.kind() {
            change::Kind::Modified => 'C',
            change::Kind::Added => 'A',
            change::Kind::Deleted => 'D',
        };
        ui::line(&format!("{letter} {}", change.path))?;
    }
    Ok(0)
}
