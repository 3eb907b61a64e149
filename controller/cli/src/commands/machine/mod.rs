//! `berth machine …`: docker-machine's commands.

mod active;
mod adopt;
mod certs;
mod config;
pub(crate) mod create;
mod doctor;
mod env;
mod export;
mod import;
mod import_docker_machine;
mod inspect;
mod interrupt;
mod ip;
mod issue_client;
mod lifecycle;
mod ls;
mod mount;
mod names;
mod orphans;
mod passphrase;
mod provision;
mod regenerate_certs;
mod resume;
mod revoke;
mod rm;
mod rotate_ca;
mod scp;
mod ssh;
mod status;
mod sudo;
mod trouble;
mod upgrade;
mod url;
mod version;

use crate::engine::Global;
use crate::failure::Outcome;

/// What can be done with machines.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Words),
    Resume(resume::Args),
    Ls(ls::Args),
    Ssh(ssh::Args),
    Scp(scp::Args),
    Mount(mount::Args),
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
    Orphans(orphans::Args),
    Provision(provision::Args),
    Upgrade(upgrade::Args),
    Doctor(doctor::Args),
    Certs(certs::Args),
    RegenerateCerts(regenerate_certs::Args),
    RotateCa(rotate_ca::Args),
    IssueClient(issue_client::Args),
    RevokeClient(revoke::ClientArgs),
    Revoke(revoke::MachineArgs),
    Adopt(adopt::Args),
    Export(export::Args),
    Import(import::Args),
    ImportDockerMachine(import_docker_machine::Args),
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
            Self::Resume(args) => resume::run(args, global).await,
            Self::Ls(args) => ls::run(args, global).await,
            Self::Ssh(args) => ssh::run(args, global).await,
            Self::Scp(args) => scp::run(args, global).await,
            Self::Mount(args) => mount::run(args, global).await,
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
            Self::Orphans(args) => orphans::run(args, global).await,
            Self::Provision(args) => provision::run(args, global).await,
            Self::Upgrade(args) => upgrade::run(args, global).await,
            Self::Doctor(args) => doctor::run(args, global).await,
            Self::Certs(args) => certs::run(args, global),
            Self::RegenerateCerts(args) => regenerate_certs::run(args, global).await,
            Self::RotateCa(args) => rotate_ca::run(args, global).await,
            Self::IssueClient(args) => issue_client::run(&args, global),
            Self::RevokeClient(args) => revoke::client(args, global).await,
            Self::Revoke(args) => revoke::machine(args, global).await,
            Self::Adopt(args) => adopt::run(args, global).await,
            Self::Export(args) => export::run(args, global).await,
            Self::Import(args) => import::run(args, global),
            Self::ImportDockerMachine(args) => import_docker_machine::run(args, global).await,
            Self::Active(args) => active::run(args, global).await,
            Self::Config(args) => config::run(args, global).await,
            Self::Version(args) => version::run(args, global).await,
        }
    }
}
