//! Commands on volumes.

mod create;
mod ls;
pub(super) mod prune;
mod rm;

use super::{each, inspect};
use crate::engine::Global;
use crate::failure::Outcome;

/// `berth volume …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Args),
    Inspect(inspect::VolumeArgs),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Prune(prune::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
}

// === impl Command ===

impl Command {
    /// Does what was asked for; returns the exit code.
    pub(super) async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Create(args) => create::run(args, global).await,
            Self::Inspect(args) => {
                inspect::run(args.into(), Some(inspect::Kind::Volume), global).await
            }
            Self::Ls(args) => ls::run(args, global).await,
            Self::Prune(args) => prune::run(args, global).await,
            Self::Rm(args) => rm::run(args, global).await,
        }
    }
}
