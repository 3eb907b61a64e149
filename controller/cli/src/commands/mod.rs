//! The commands, one file each: the arguments, whose comments are the help, and one function.
//! Commands on containers are in [`container`], on images in [`image`], under their short and their
//! long names alike; here is what concerns neither alone.

mod completion;
mod container;
mod each;
mod events;
mod image;
mod info;
mod inspect;
mod login;
mod logout;
pub(crate) mod machine;
mod man;
mod network;
mod output;
mod pruned;
mod system;
mod version;
mod volume;

use crate::engine::Global;
use crate::failure::Outcome;

/// What berth can do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    OfContainers(container::Command),
    Ps(container::ps::Args),
    Inspect(inspect::Args),
    #[command(flatten)]
    OfImages(image::Command),
    Images(image::ls::Args),
    Rmi(image::rmi::Args),
    Login(login::Args),
    Logout(logout::Args),
    Events(events::Args),
    Info(info::Args),
    Version(version::Args),
    /// Make, list and manage machines
    #[command(subcommand, arg_required_else_help = true)]
    Machine(machine::Command),
    /// Commands on containers, under their long names
    #[command(subcommand, arg_required_else_help = true)]
    Container(container::LongCommand),
    /// Commands on images, under their long names
    #[command(subcommand, arg_required_else_help = true)]
    Image(image::LongCommand),
    /// Make networks, and connect containers to them
    #[command(subcommand, arg_required_else_help = true)]
    Network(network::Command),
    /// Make, list and remove volumes
    #[command(subcommand, arg_required_else_help = true)]
    Volume(volume::Command),
    /// Look after the machine's engine
    #[command(subcommand, arg_required_else_help = true)]
    System(system::Command),
    Completion(completion::Args),
    Man(man::Args),
}

// === impl Command ===

impl Command {
    /// Does what was asked for; returns the exit code.
    pub(crate) async fn run(self, global: &Global) -> Outcome {
        match self {
            Self::OfContainers(command) => command.run(global).await,
            Self::Ps(args) => container::ps::run(args, global).await,
            Self::Inspect(args) => inspect::run(args, None, global).await,
            Self::OfImages(command) => command.run(global).await,
            Self::Images(args) => image::ls::run(args, global).await,
            Self::Rmi(args) => image::rmi::run(args, global).await,
            Self::Login(args) => login::run(args),
            Self::Logout(args) => logout::run(args),
            Self::Events(args) => events::run(args, global).await,
            Self::Info(args) => info::run(args, global).await,
            Self::Version(args) => version::run(args, global).await,
            Self::Machine(command) => command.run(global).await,
            Self::Container(command) => command.run(global).await,
            Self::Image(command) => command.run(global).await,
            Self::Network(command) => command.run(global).await,
            Self::Volume(command) => command.run(global).await,
            Self::System(command) => command.run(global).await,
            Self::Completion(args) => completion::run(&args),
            Self::Man(args) => man::run(&args),
        }
    }
}
