//! Commands on containers.
//!
//! A new command is a file here, a line in each of [`Command`]'s two lists, and by that both
//! `berth NAME` and `berth container NAME`; one that has only a long name goes to [`LongCommand`].

mod about;
mod attach;
mod commit;
mod cp;
mod create;
mod diff;
mod ending;
mod exec;
mod export;
mod kill;
mod logs;
mod options;
mod pause;
mod port;
pub(super) mod prune;
pub(super) mod ps;
mod rename;
mod request;
mod restart;
mod rm;
mod run;
mod start;
mod stats;
mod stop;
mod top;
mod update;
mod wait;

use super::{each, inspect};
use crate::engine::Global;
use crate::failure::Outcome;

/// Commands that have the same name after `berth` and after `berth container`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Run(Box<run::Args>),
    Create(Box<create::Args>),
    Exec(exec::Args),
    Logs(logs::Args),
    Attach(attach::Args),
    Start(start::Args),
    Stop(stop::Args),
    Restart(restart::Args),
    Kill(kill::Args),
    #[command(alias = "remove")]
    Rm(rm::Args),
    Wait(wait::Args),
    Pause(pause::Args),
    Unpause(pause::UnpauseArgs),
    Rename(rename::Args),
    Update(update::Args),
    Port(port::Args),
    Stats(stats::Args),
    Top(top::Args),
    Cp(cp::Args),
    Diff(diff::Args),
    Commit(commit::Args),
    Export(export::Args),
}

/// `berth container …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum LongCommand {
    #[command(flatten)]
    Same(Command),
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::Args),
    Inspect(inspect::ContainerArgs),
    Prune(prune::Args),
}

// === impl Command ===

impl Command {
    /// Does what was asked for; returns the exit code.
    pub(super) async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Run(args) => run::run(*args, global).await,
            Self::Create(args) => create::run(*args, global).await,
            Self::Exec(args) => exec::run(args, global).await,
            Self::Logs(args) => logs::run(args, global).await,
            Self::Attach(args) => attach::run(args, global).await,
            Self::Start(args) => start::run(args, global).await,
            Self::Stop(args) => stop::run(args, global).await,
            Self::Restart(args) => restart::run(args, global).await,
            Self::Kill(args) => kill::run(args, global).await,
            Self::Rm(args) => rm::run(args, global).await,
            Self::Wait(args) => wait::run(args, global).await,
            Self::Pause(args) => pause::run(args, global).await,
            Self::Unpause(args) => pause::run_on(args, global).await,
            Self::Rename(args) => rename::run(args, global).await,
            Self::Update(args) => update::run(args, global).await,
            Self::Port(args) => port::run(args, global).await,
            Self::Stats(args) => stats::run(args, global).await,
            Self::Top(args) => top::run(args, global).await,
            Self::Cp(args) => cp::run(args, global).await,
            Self::Diff(args) => diff::run(args, global).await,
            Self::Commit(args) => commit::run(args, global).await,
            Self::Export(args) => export::run(args, global).await,
        }
    }
}

// === impl LongCommand ===

impl LongCommand {
    /// Does what was asked for; returns the exit code.
    pub(super) async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Same(command) => command.run(global).await,
            Self::Ls(args) => ps::run(args, global).await,
            Self::Prune(args) => prune::run(args, global).await,
            Self::Inspect(args) => {
                inspect::run(args.into(), Some(inspect::Kind::Container), global).await
            }
        }
    }
}
