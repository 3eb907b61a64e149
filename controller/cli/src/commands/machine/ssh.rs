//! `berth machine ssh`.

use std::io::IsTerminal as _;

use berth_controller_ssh::{Pty, Session, Streams, WindowSize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui::terminal;

/// Open a shell on a machine, or run a command on it
#[derive(Debug, clap::Args)]
#[command(override_usage = "berth machine ssh [NAME] [COMMAND...]")]
#[command(
    after_help = "The exit code is the command's.\n\nExample:\n  berth machine ssh demo uname -a"
)]
pub(crate) struct Args {
    /// Machine (the one called "default" if none is named), then the command
    #[arg(trailing_var_arg = true, value_name = "NAME")]
    words: Vec<String>,
}

/// Runs a shell or a command; the outcome is its exit code.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let mut words = args.words.into_iter();
    let name = names::one(&fleet, global, words.next())?;
    let mut words: Vec<String> = words.collect();
    if words.first().is_some_and(|word| word == "--") {
        words.remove(0);
    }
    // As ssh does: the words are one line for the remote shell.
    let command = (!words.is_empty()).then(|| words.join(" "));
    let session = fleet.ssh(&name).await.map_err(|error| error.failure())?;
    let wants_terminal = command.is_none() && std::io::stdin().is_terminal();
    talk(&session, command.as_deref(), wants_terminal).await
}

async fn talk(session: &Session, command: Option<&str>, wants_terminal: bool) -> Outcome {
    let (sizes, size) = watch::channel(window());
    let pty = wants_terminal.then(|| Pty {
        term: std::env::var("TERM").unwrap_or_else(|_error| "xterm".to_owned()),
        size,
    });
    let streams = Streams {
        stdin: Box::new(tokio::io::stdin()),
        stdout: Box::new(tokio::io::stdout()),
        stderr: Box::new(tokio::io::stderr()),
    };
    let keys = if wants_terminal {
        terminal::raw()?
    } else {
        None
    };
    let ended = tokio::select! {
        // Both arms are dropped only at the end of the command.
        status = session.run(command, pty, streams) => status.map(|status| status.code()),
        code = follow(sizes, wants_terminal) => Ok(code),
    };
    drop(keys);
    ended.map_err(|error| Failure::because(&error).exit(255))
}

fn window() -> WindowSize {
    let size = terminal::size().unwrap_or_default();
    match (size.rows, size.columns) {
        (0, _) | (_, 0) => WindowSize {
            columns: 80,
            rows: 24,
        },
        (rows, columns) => WindowSize { columns, rows },
    }
}

/// Tells changes of size; returns only when a signal asks this command to end, so that the
/// terminal is put back first.
async fn follow(sizes: watch::Sender<WindowSize>, wants_terminal: bool) -> u8 {
    let listen = |kind| signal(kind);
    let (true, Ok(mut changed), Ok(mut ended), Ok(mut hung_up)) = (
        wants_terminal,
        listen(SignalKind::window_change()),
        listen(SignalKind::terminate()),
        listen(SignalKind::hangup()),
    ) else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            // `recv` loses no signal when it is dropped.
            _ = changed.recv() => drop(sizes.send(window())),
            _ = ended.recv() => return 143,
            _ = hung_up.recv() => return 129,
        }
    }
}
