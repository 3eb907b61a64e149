//! Commands on images.
//!
//! A new command is a file here, a line in each of [`Command`]'s two lists, and by that both
//! `berth NAME` and `berth image NAME`; one that has only a long name goes to [`LongCommand`].

mod build;
mod history;
mod import;
mod load;
pub(super) mod ls;
pub(super) mod prune;
mod pull;
mod push;
pub(super) mod rmi;
mod save;
mod tag;
pub(super) mod transfer;

use super::{each, inspect};
use crate::engine::Global;
use crate::failure::Outcome;

/// Commands that have the same name after `berth` and after `berth image`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Build(build::Args),
    Pull(pull::Args),
    Push(push::Args),
    Tag(tag::Args),
    Import(import::Args),
    History(history::Args),
    Save(save::Args),
    Load(load::Args),
}

/// `berth image …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum LongCommand {
    #[command(flatten)]
    Same(Command),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    #[command(visible_alias = "remove")]
    Rm(rmi::Args),
    Inspect(inspect::ImageArgs),
    Prune(prune::Args),
}

// === impl Command ===

impl Command {
    /// Does what was asked for; returns the exit code.
    pub(super) async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Build(args) => build::run(args, global).await,
            Self::Pull(args) => pull::run(args, global).await,
            Self::Push(args) => push::run(args, global).await,
            Self::Tag(args) => tag::run(args, global).await,
            Self::Import(args) => import::run(args, global).await,
            Self::History(args) => history::run(args, global).await,
            Self::Save(args) => save::run(args, global).await,
            Self::Load(args) => load::run(args, global).await,
        }
    }
}

// === impl LongCommand ===

impl LongCommand {
    /// Does what was asked for; returns the exit code.
    pub(super) async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Same(command) => command.run(global).await,
            Self::Ls(args) => ls::run(args, global).await,
            Self::Rm(args) => rmi::run(args, global).await,
            Self::Prune(args) => prune::run(args, global).await,
            Self::Inspect(args) => {
                inspect::run(args.into(), Some(inspect::Kind::Image), global).await
            }
        }
    }
}
