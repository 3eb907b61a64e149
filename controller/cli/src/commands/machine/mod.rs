//! `berth machine …`: docker-machine's commands.

mod active;
mod config;
pub(crate) mod create;
mod env;
mod inspect;
mod ip;
mod lifecycle;
mod ls;
mod names;
mod provision;
mod rm;
mod ssh;
mod status;
mod trouble;
mod url;
mod version;

use crate::engine::Global;
use crate::failure::Outcome;

/// What can be done with machines.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Words),
    Ls(ls::Args),
    Ssh(ssh::Args),
    Env(env::Args),
    Ip(ip::Args),
    Url(url::Args),
    Inspect(inspect::Args),
    Status(status::Args),
    /// Start machines
    Start(lifecycle::Args),
    /// Stop machines
    Stop(lifecycle::Args),
    /// Restart machines
    Restart(lifecycle::Args),
    /// Turn machines off at once
    Kill(lifecycle::Args),
    Rm(rm::Args),
    Provision(provision::Args),
    Active(active::Args),
    Config(config::Args),
    Version(version::Args),
}

// === impl Command ===

impl Command {
    /// Does what was asked for; returns the exit code.
    pub(crate) async fn run(self, global: &Global) -> Outcome {
        use lifecycle::Verb;
        match self {
            Self::Create(words) => create::run(words, global).await,
            Self::Ls(args) => ls::run(args, global).await,
            Self::Ssh(args) => ssh::run(args, global).await,
            Self::Env(args) => env::run(args, global).await,
            Self::Ip(args) => ip::run(args, global).await,
            Self::Url(args) => url::run(args, global).await,
            Self::Inspect(args) => inspect::run(args, global),
            Self::Status(args) => status::run(args, global).await,
            Self::Start(args) => lifecycle::run(Verb::Start, args, global).await,
            Self::Stop(args) => lifecycle::run(Verb::Stop, args, global).await,
            Self::Restart(args) => lifecycle::run(Verb::Restart, args, global).await,
            Self::Kill(args) => lifecycle::run(Verb::Kill, args, global).await,
            Self::Rm(args) => rm::run(args, global).await,
            Self::Provision(args) => provision::run(args, global).await,
            Self::Active(args) => active::run(args, global).await,
            Self::Config(args) => config::run(args, global).await,
            Self::Version(args) => version::run(args, global).await,
        }
    }
}
