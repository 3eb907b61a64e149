//! Commands on networks.

mod connect;
mod create;
mod disconnect;
mod ls;
pub(super) mod prune;
mod rm;
mod subnets;

use super::{each, inspect};
use crate::engine::Global;
use crate::failure::Outcome;

/// `berth network …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Connect(connect::Args),
    Create(create::Args),
    Disconnect(disconnect::Args),
    Inspect(inspect::NetworkArgs),
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
            Self::Connect(args) => connect::run(args, global).await,
            Self::Create(args) => create::run(args, global).await,
            Self::Disconnect(args) => disconnect::run(args, global).await,
            Self::Inspect(args) => {
                inspect::run(args.into(), Some(inspect::Kind::Network), global).await
            }
            Self::Ls(args) => ls::run(args, global).await,
            Self::Prune(args) => prune::run(args, global).await,
            Self::Rm(args) => rm::run(args, global).await,
        }
    }
}
