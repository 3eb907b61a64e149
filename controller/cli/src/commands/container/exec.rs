//! `berth exec`.

use std::path::PathBuf;

use berth_proto::v1::{ExecOptions, ExecRequest, exec_request};

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::session::{self, End, Local};
use crate::ui::{self, terminal};
use crate::{settings, spec};

/// Run a command in a running container
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(override_usage = "berth exec [OPTIONS] CONTAINER COMMAND [ARG...]")]
#[command(after_help = "Example:\n  berth exec -it web sh    a shell beside the server")]
pub(crate) struct Args {
    /// Leave the command in the background
    #[arg(long, short)]
    detach: bool,

    /// Keys that detach, instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,

    /// Set a variable: NAME=VALUE, or NAME to take its value from here
    #[arg(long, short, value_name = "NAME[=VALUE]", value_parser = spec::env::variable)]
    env: Vec<String>,

    /// Set the variables of a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Pass standard input on
    #[arg(long, short)]
    interactive: bool,

    /// All capabilities
    #[arg(long)]
    privileged: bool,

    /// Give the command a terminal
    #[arg(long, short)]
    tty: bool,

    /// User (and group) of the command: names or numbers
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Folder in which the command starts
    #[arg(long, short, value_name = "PATH")]
    workdir: Option<String>,

    /// Container, then the command and its arguments
    #[arg(required = true, num_args = 2.., trailing_var_arg = true)]
    #[arg(value_names = ["CONTAINER", "COMMAND"])]
    words: Vec<String>,
}

/// Runs a command in a container; the outcome is its exit code.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let [container, command @ ..] = args.words.as_slice() else {
        return Err(Failure::new("exec needs a container and a command"));
    };
    let stdin = args.interactive && !args.detach;
    if args.tty && stdin && !ui::input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY")
            .hint("leave -t out when the input is a pipe or a file"));
    }
    let here = |name: &str| std::env::var_os(name);
    let env = spec::env::variables(&args.env_file, &args.env, &here)
        .map_err(|error| Failure::because(&error))?;
    let options = ExecOptions {
        container: container.clone(),
        command: command.to_vec(),
        env,
        working_dir: args.workdir.unwrap_or_default(),
        user: args.user.unwrap_or_default(),
        tty: args.tty,
        stdin,
        privileged: args.privileged,
        detach: args.detach,
        detach_keys: settings::detach_keys(args.detach_keys.as_deref()),
        size: if args.tty { terminal::size() } else { None },
    };
    let engine = global.engine().await?;
    let (outgoing, requests) = session::queue();
    let first = ExecRequest {
        message: Some(exec_request::Message::Options(options)),
    };
    // The queue is empty and its other end is in our hands.
    let _ = outgoing.try_send(first);
    let mut incoming = engine.containers().exec(requests).await?.into_inner();
    if args.detach {
        while incoming.message().await?.is_some() {}
        return Ok(0);
    }
    let local = Local {
        stdin,
        tty: args.tty,
        signals_to: None,
    };
    match session::hold(incoming, outgoing, local, async { Ok(()) }).await? {
        End::Exited(code) | End::Interrupted(code) => Ok(code),
        End::Detached => Ok(0),
    }
}
