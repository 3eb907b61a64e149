//! The commands, one file each: the arguments, whose comments are the help, and one function.

mod attach;
mod build;
mod completion;
mod container_config;
mod container_options;
mod create;
mod each;
mod ending;
mod exec;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod login;
mod logout;
mod logs;
pub(crate) mod machine;
mod man;
mod ps;
mod pull;
mod push;
mod restart;
mod rm;
mod rmi;
mod run;
mod start;
mod stop;
mod tag;
mod transfer;
mod version;
mod wait;

use crate::engine::Global;
use crate::failure::Outcome;

/// What berth can do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Run(Box<run::Args>),
    Create(Box<create::Args>),
    Exec(exec::Args),
    Ps(ps::Args),
    Logs(logs::Args),
    Attach(attach::Args),
    Start(start::Args),
    Stop(stop::Args),
    Restart(restart::Args),
    Kill(kill::Args),
    Rm(rm::Args),
    Wait(wait::Args),
    Inspect(inspect::Args),
    Build(build::Args),
    Pull(pull::Args),
    Push(push::Args),
    Images(images::Args),
    Tag(tag::Args),
    Rmi(rmi::Args),
    Import(import::Args),
    Login(login::Args),
    Logout(logout::Args),
    Info(info::Args),
    Version(version::Args),
    /// Make, list and manage machines
    #[command(subcommand, arg_required_else_help = true)]
    Machine(machine::Command),
    /// Commands on containers, under their long names
    #[command(subcommand, hide = true)]
    Container(ContainerCommand),
    /// Commands on images, under their long names
    #[command(subcommand, hide = true)]
    Image(ImageCommand),
    Completion(completion::Args),
    Man(man::Args),
}

/// `berth container …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ContainerCommand {
    Run(Box<run::Args>),
    Create(Box<create::Args>),
    Exec(exec::Args),
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::Args),
    Logs(logs::Args),
    Attach(attach::Args),
    Start(start::Args),
    Stop(stop::Args),
    Restart(restart::Args),
    Kill(kill::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    Wait(wait::Args),
    Inspect(inspect::Args),
}

/// `berth image …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ImageCommand {
    Build(build::Args),
    Pull(pull::Args),
    Push(push::Args),
    #[command(visible_alias = "list")]
    Ls(images::Args),
    Tag(tag::Args),
    #[command(visible_alias = "remove")]
    Rm(rmi::Args),
    Import(import::Args),
    Inspect(inspect::Args),
}

// === impl Command ===

impl Command {
    /// Does what was asked for; returns the exit code.
    pub(crate) async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Run(args) => run::run(*args, global).await,
            Self::Create(args) => create::run(*args, global).await,
            Self::Exec(args) => exec::run(args, global).await,
            Self::Ps(args) => ps::run(args, global).await,
            Self::Logs(args) => logs::run(args, global).await,
            Self::Attach(args) => attach::run(args, global).await,
            Self::Start(args) => start::run(args, global).await,
            Self::Stop(args) => stop::run(args, global).await,
            Self::Restart(args) => restart::run(args, global).await,
            Self::Kill(args) => kill::run(args, global).await,
            Self::Rm(args) => rm::run(args, global).await,
            Self::Wait(args) => wait::run(args, global).await,
            Self::Inspect(args) => inspect::run(args, None, global).await,
            Self::Build(args) => build::run(args, global).await,
            Self::Pull(args) => pull::run(args, global).await,
            Self::Push(args) => push::run(args, global).await,
            Self::Images(args) => images::run(args, global).await,
            Self::Tag(args) => tag::run(args, global).await,
            Self::Rmi(args) => rmi::run(args, global).await,
            Self::Import(args) => import::run(args, global).await,
            Self::Login(args) => login::run(args),
            Self::Logout(args) => logout::run(args),
            Self::Info(args) => info::run(args, global).await,
            Self::Version(args) => version::run(args, global).await,
            Self::Machine(command) => command.run(global).await,
            Self::Container(command) => command.run(global).await,
            Self::Image(command) => command.run(global).await,
            Self::Completion(args) => completion::run(&args),
            Self::Man(args) => man::run(&args),
        }
    }
}

// === impl ContainerCommand ===

impl ContainerCommand {
    async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Run(args) => run::run(*args, global).await,
            Self::Create(args) => create::run(*args, global).await,
            Self::Exec(args) => exec::run(args, global).await,
            Self::Ls(args) => ps::run(args, global).await,
            Self::Logs(args) => logs::run(args, global).await,
            Self::Attach(args) => attach::run(args, global).await,
            Self::Start(args) => start::run(args, global).await,
            Self::Stop(args) => stop::run(args, global).await,
            Self::Restart(args) => restart::run(args, global).await,
            Self::Kill(args) => kill::run(args, global).await,
            Self::Rm(args) => rm::run(args, global).await,
            Self::Wait(args) => wait::run(args, global).await,
            Self::Inspect(args) => inspect::run(args, Some(inspect::Kind::Container), global).await,
        }
    }
}

// === impl ImageCommand ===

impl ImageCommand {
    async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::Build(args) => build::run(args, global).await,
            Self::Pull(args) => pull::run(args, global).await,
            Self::Push(args) => push::run(args, global).await,
            Self::Ls(args) => images::run(args, global).await,
            Self::Tag(args) => tag::run(args, global).await,
            Self::Rm(args) => rmi::run(args, global).await,
            Self::Import(args) => import::run(args, global).await,
            Self::Inspect(args) => inspect::run(args, Some(inspect::Kind::Image), global).await,
        }
    }
}
