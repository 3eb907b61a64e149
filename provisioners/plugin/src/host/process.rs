//! One process of a plugin, from its start to its end.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::keeper;
use super::thread::{Keeping, keeping};
use crate::error::PluginError;
use crate::gob::Body;
use crate::lookup::Plugin;
use crate::rpc::{Client, RpcError};

/// What tells a program that it is run as a plugin.
const TOKEN: (&str, &str) = ("MACHINE_PLUGIN_TOKEN", "42");
const DRIVER_NAME: &str = "MACHINE_PLUGIN_DRIVER_NAME";

/// How long a plugin that was told to end by a signal may take.
const AFTER_TERM: Duration = Duration::from_secs(1);
/// How long a plugin whose connection is gone may take to follow it.
const AFTER_LOSS: Duration = Duration::from_millis(500);

/// How to ask a plugin to end; known once it can be spoken to.
pub(crate) type Closer = Arc<OnceLock<(Arc<Client>, &'static str)>>;

/// A process that is asked to end when this value goes, and made to if it does not.
#[derive(Debug)]
pub(crate) struct Process {
    ended: watch::Receiver<Option<ExitStatus>>,
    pub(crate) stop: CancellationToken,
    pub(crate) closer: Closer,
    _end: DropGuard,
}

/// What a plugin prints.
pub(crate) struct Output {
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

// === impl Process ===

impl Process {
    /// Starts a plugin; on the thread for plugins.
    pub(crate) fn start(plugin: &Plugin) -> Result<(Self, Output), PluginError> {
        let keeping = keeping()?;
        let failed = |source| PluginError::Start {
            path: plugin.path.clone(),
            source,
        };
        let mut child = command(plugin).spawn().map_err(failed)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        let stop = keeping.stop.child_token();
        let (tell, ended) = watch::channel(None);
        let closer = Closer::default();
        let life = Life {
            child,
            stop: stop.clone(),
            closer: Arc::clone(&closer),
            patience: plugin.options.deadlines.close,
        };
        keeping.alive.send_modify(|count| *count += 1);
        tokio::spawn(life.lead(tell, keeping));
        let process = Self {
            ended,
            stop: stop.clone(),
            closer,
            _end: stop.drop_guard(),
        };
        Ok((process, Output { stdout, stderr }))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Returns how the process has ended, if it does so within `patience`.
    pub(crate) async fn end_within(&self, patience: Duration) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        let status = timeout(patience, ended.wait_for(Option::is_some)).await;
        status.ok()?.ok().and_then(|status| *status)
    }
}

fn command(plugin: &Plugin) -> Command {
    let mut command = match &plugin.options.keeper {
        Some(program) => {
            let mut command = Command::new(program);
            let own = std::process::id().to_string();
            command.args([keeper::ARGUMENT, &own]).arg(&plugin.path);
            command
        }
        None => Command::new(&plugin.path),
    };
    command
        .env(TOKEN.0, TOKEN.1)
        .env(DRIVER_NAME, &plugin.name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Apart from the terminal's group: an interrupt is for berth, which then closes it.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// A process's life, in a task of its own.
struct Life {
    child: Child,
    stop: CancellationToken,
    closer: Closer,
    patience: Duration,
}

// === impl Life ===

impl Life {
    async fn lead(mut self, tell: watch::Sender<Option<ExitStatus>>, keeping: &'static Keeping) {
        let stop = self.stop.clone();
        let status = tokio::select! {
            status = self.child.wait() => status.ok(),
            () = stop.cancelled() => self.end().await,
        };
        if let Some((client, _service)) = self.closer.get() {
            client.end("it has ended");
        }
        tell.send_replace(Some(status.unwrap_or_default()));
        keeping.alive.send_modify(|count| *count -= 1);
    }

    /// Asks, then insists.
    async fn end(&mut self) -> Option<ExitStatus> {
        if let Some(patience) = self.ask().await
            && let Ok(status) = timeout(patience, self.child.wait()).await
        {
            return status.ok();
        }
        self.signal(Signal::SIGTERM);
        if let Ok(status) = timeout(AFTER_TERM, self.child.wait()).await {
            return status.ok();
        }
        self.signal(Signal::SIGKILL);
        self.child.wait().await.ok()
    }

    /// Returns how long to wait for the end; nothing when there was nobody to ask.
    async fn ask(&self) -> Option<Duration> {
        let (client, service) = self.closer.get()?;
        let method = format!("{service}.Close");
        match timeout(self.patience, client.call(&method, &Body::Empty)).await {
            // The connection may go before the answer comes.
            Ok(Err(RpcError::Lost(_))) => Some(AFTER_LOSS),
            Ok(Ok(_) | Err(RpcError::Server(_))) => Some(self.patience),
            Err(_elapsed) => None,
        }
    }

    /// Signals the plugin and what it has started and not set apart. Nobody has reaped it yet, so
    /// its number is still its own.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id() {
            let _ = killpg(Pid::from_raw(pid.cast_signed()), signal);
        }
    }
}
