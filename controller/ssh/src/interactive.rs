//! A session as the system's `ssh` program gives it: terminal, window size, forwards.

use std::io::{self, IsTerminal as _};

use rustix::termios::{self, OptionalActions, Termios};
use tokio::io::copy_bidirectional;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::agent::socket;
use crate::shell::Program;
use crate::{
    Endpoint, ExecError, ForwardError, Forwards, Options, Pty, Session, Streams, WindowSize,
};

/// A session could not be carried through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InteractError {
    /// The remote program could not be run to its end.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// A forward cannot be made.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// The terminal cannot be used.
    #[error("terminal cannot be used")]
    Terminal(#[source] io::Error),
}

/// The terminal in raw mode; it is put back when this value is dropped, also while a panic unwinds.
#[derive(Debug)]
struct Raw {
    before: Termios,
}

impl Raw {
    /// Passes every key through unchanged from now on; nothing when standard input is no terminal.
    fn new() -> io::Result<Option<Self>> {
        let input = io::stdin();
        if !input.is_terminal() {
            return Ok(None);
        }
        let before = termios::tcgetattr(&input)?;
        let mut modes = before.clone();
        modes.make_raw();
        let raw = Self { before };
        termios::tcsetattr(&input, OptionalActions::Drain, &modes)?;
        Ok(Some(raw))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nothing better to do with a terminal that has gone away.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

impl Session {
    /// Does what `options` ask with this process's terminal, input and output; returns the exit
    /// code: the remote program's, or 128 and the number of the signal that ended it.
    ///
    /// `endpoint` is where the session is with; its configuration says which agent is offered.
    ///
    /// # Errors
    ///
    /// When a forward cannot be made, or the remote program cannot be run to its end.
    pub async fn interact(
        &self,
        options: &Options,
        endpoint: &Endpoint,
    ) -> Result<u8, InteractError> {
        let forwards = Forwards::listen(&options.local).await?;
        for forward in &options.remote {
            if let (crate::Place::Port(host, port), Some(target)) =
                (&forward.listen, &forward.target)
            {
                let host = host.as_deref();
                let chosen = self.forward_back(host, *port, target.clone()).await?;
                if *port == 0 {
                    tracing::info!(port = chosen, "the host chose the port of the forward");
                }
            }
        }
        tokio::select! {
            // Whichever arm ends, the others are no longer of interest.
            code = self.act(options, endpoint) => code,
            never = self.serve(forwards) => match never {},
        }
    }

    async fn act(&self, options: &Options, endpoint: &Endpoint) -> Result<u8, InteractError> {
        if let Some((host, port)) = &options.stdio {
            let mut far = self.open_tcp(host, *port).await?;
            let mut near = tokio::io::join(tokio::io::stdin(), tokio::io::stdout());
            let copied = copy_bidirectional(&mut near, &mut far).await;
            copied.map_err(ExecError::Local)?;
            return Ok(0);
        }
        if options.nothing {
            self.ended().await;
            return Err(ExecError::Lost.into());
        }
        let offers = options.agent.unwrap_or(endpoint.config.forward_agent);
        let agent = offers.then(|| socket(&endpoint.config.agent)).flatten();
        if let Some(path) = &agent {
            self.offer_agent(path.clone());
        }
        let program = Program {
            command: options.command.as_deref(),
            subsystem: options.subsystem,
            agent: agent.is_some(),
        };
        self.talk(program, wants_terminal(options), options.no_input)
            .await
    }

    async fn talk(
        &self,
        program: Program<'_>,
        wants_terminal: bool,
        no_input: bool,
    ) -> Result<u8, InteractError> {
        let (sizes, size) = watch::channel(window());
        let pty = wants_terminal.then(|| Pty {
            term: std::env::var("TERM").unwrap_or_else(|_unset| "xterm".to_owned()),
            size,
        });
        let streams = Streams {
            stdin: if no_input {
                Box::new(tokio::io::empty())
            } else {
                Box::new(tokio::io::stdin())
            },
            stdout: Box::new(tokio::io::stdout()),
            stderr: Box::new(tokio::io::stderr()),
        };
        let raw = if wants_terminal && !no_input {
            Raw::new().map_err(InteractError::Terminal)?
        } else {
            None
        };
        let ended = tokio::select! {
            // Both arms are dropped only at the end of the command.
            status = self.run_program(program, pty, streams) => status.map(|status| status.code()),
            code = follow(sizes, wants_terminal) => Ok(code),
        };
        drop(raw);
        Ok(ended?)
    }
}

/// As ssh decides it: for a shell, or when asked; without a terminal here only when asked twice.
fn wants_terminal(options: &Options) -> bool {
    let wanted = options.terminal > 0 || (options.command.is_none() && !options.subsystem);
    !options.no_terminal && wanted && (options.terminal > 1 || io::stdin().is_terminal())
}

fn window() -> WindowSize {
    let size =
        termios::tcgetwinsize(io::stdout()).or_else(|_none| termios::tcgetwinsize(io::stdin()));
    match size {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => WindowSize {
            columns: size.ws_col.into(),
            rows: size.ws_row.into(),
        },
        _ => WindowSize {
            columns: 80,
            rows: 24,
        },
    }
}

/// Tells changes of size; returns only when a signal asks this program to end, so that the
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
