//! `berth attach`.

use berth_proto::v1::AttachOptions;

use super::about::About;
use super::run;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::session::{self, End, Local};
use crate::{settings, ui};

/// Attach to a running container
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Keys that detach, instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,

    /// Do not pass standard input on
    #[arg(long)]
    no_stdin: bool,

    /// Pass signals on to the container [default: true]
    #[arg(long, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    #[arg(
        default_value = "true",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_name = "BOOL", value_parser = crate::switch::go_bool)]
    sig_proxy: bool,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Attaches until the container ends or is left; the outcome is its exit code.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let about = About::of(&engine, &args.container).await?;
    check(&about, &args.container)?;
    let stdin = !args.no_stdin && about.open_stdin;
    if stdin && about.tty && !ui::input_is_terminal() {
        return Err(
            Failure::new("the input device is not a TTY").hint("--no-stdin shows the output only")
        );
    }
    let options = AttachOptions {
        container: about.id.clone(),
        stdin,
        stdout: true,
        stderr: true,
        logs: false,
        detach_keys: settings::detach_keys(args.detach_keys.as_deref()),
    };
    let (outgoing, incoming) = run::open(&engine, options).await?;
    let local = Local {
        stdin,
        tty: about.tty,
        signals_to: args.sig_proxy.then(|| (engine.containers(), about.id)),
    };
    match session::hold(incoming, outgoing, local, async { Ok(()) }).await? {
        End::Exited(code) | End::Interrupted(code) => Ok(code),
        End::Detached => Ok(0),
    }
}

/// Only to a container that runs and goes on running can one attach.
fn check(about: &About, container: &str) -> Result<(), Failure> {
    if !about.running {
        return Err(
            Failure::new("You cannot attach to a stopped container, start it first")
                .hint(format!("berth start -ai {container}")),
        );
    }
    if about.paused {
        return Err(
            Failure::new("You cannot attach to a paused container, unpause it first")
                .hint(format!("berth unpause {container}")),
        );
    }
    if about.restarting {
        return Err(Failure::new(
            "You cannot attach to a restarting container, wait until it is running",
        ));
    }
    Ok(())
}
