//! Commands on images.
//!
//! A new command is a file here, a line in each of [`Command`]'s two lists, and by that both
//! `berth NAME` and `berth image NAME`; one that has only a long name goes to [`LongCommand`].

mod build;
mod import;
pub(super) mod ls;
mod pull;
mod push;
pub(super) mod rmi;
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
            Self::Inspect(args) => {
                inspect::run(args.into(), Some(inspect::Kind::Image), global).await
            }
        }
    }
}
