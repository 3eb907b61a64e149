//! `berth machine ssh`.

use berth_controller_fleet::SshProgram;

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::Outcome;

/// Exit code of ssh's own failures, which the command's codes must be told from.
const SSH_ERROR: u8 = 255;

/// Open a shell on a machine, or run a command on it
///
/// The words after the name are read as ssh reads them after a host: options, then the command.
/// Known are -L, -R, -D, -W, -N, -n, -t, -T, -A, -a, -s, -l, -p, -i, -J, -F, -o and `--`; what else
/// ssh knows is left to the system's ssh program, with the machine's key and its pinned host key.
#[derive(Debug, clap::Args)]
#[command(override_usage = "berth machine ssh [OPTIONS] [NAME] [SSH OPTIONS] [COMMAND...]")]
#[command(
    after_help = "The exit code is the command's, or 128 and the number of the signal that \
                        ended it; 255 if the machine cannot be logged in to.\n\nExamples:\n  \
                        berth machine ssh demo uname -a\n  \
                        berth machine ssh demo -N -L 8080:localhost:80"
)]
pub(crate) struct Args {
    /// Never use the system's ssh program
    #[arg(long, conflicts_with = "system_ssh")]
    native_ssh: bool,
    /// Use the system's ssh program (or set BERTH_SSH=system)
    #[arg(long)]
    system_ssh: bool,
    /// Machine (the one called "default" if none is named), options of ssh, then the command
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "NAME"
    )]
    words: Vec<String>,
}

/// Runs a shell or a command; the outcome is its exit code.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let program = match (args.native_ssh, args.system_ssh) {
        (true, _) => SshProgram::Native,
        (_, true) => SshProgram::System,
        _ if std::env::var_os("BERTH_SSH").is_some_and(|word| word == "system") => {
            SshProgram::System
        }
        _ => SshProgram::Either,
    };
    let mut words = args.words.into_iter().peekable();
    // Options without a name are for the machine called "default".
    let named = words.next_if(|word| !word.starts_with('-'));
    let name = names::one(&fleet, global, named)?;
    let words: Vec<String> = words.collect();
    let code = fleet.ssh_words(&name, &words, program).await;
    code.map_err(|error| error.failure().exit(SSH_ERROR))
}
