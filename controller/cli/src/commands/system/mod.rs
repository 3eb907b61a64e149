//! Commands on the machine's engine as a whole.

mod df;
mod prune;

use super::{events, info};
use crate::engine::Global;
use crate::failure::Outcome;

/// `berth system …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Df(df::Args),
    Events(events::Args),
    Info(info::Args),
    Prune(prune::Args),
}

// === impl Command ===

impl Command {
    /// Does what was asked for; returns the exit code.
    pub(super) async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Df(args) => df::run(args, global).await,
            Self::Events(args) => events::run(args, global).await,
            Self::Info(args) => info::run(args, global).await,
            Self::Prune(args) => prune::run(args, global).await,
        }
    }
}
