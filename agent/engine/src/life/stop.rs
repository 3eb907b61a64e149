//! Ends and restarts containers: stop, kill, restart.

use std::sync::Arc;
use std::time::Duration;

use berth_agent_runtime::{ControlError, Running};

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::containers::LookupError;
use crate::container::status::Phase;
use crate::container::{Container, ThisRun, Unreachable};
use crate::id::ContainerId;
use crate::life::signal::{InvalidSignal, SignalNumber};
use crate::start::error::StartError;

/// Seconds between the stop signal and SIGKILL unless told otherwise, as Docker's.
const DEFAULT_TIMEOUT_SECONDS: i64 = 10;

/// How to stop a container.
#[derive(Clone, Debug, Default)]
pub struct StopOptions {
    /// Seconds until SIGKILL; nothing: the container's own; negative: for ever.
    pub timeout_seconds: Option<i64>,
    /// Empty: the container's stop signal.
    pub signal: String,
}

/// A container is not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The signal is none.
    #[error(transparent)]
    Signal(#[from] InvalidSignal),
    /// It runs, but nothing can be asked of it.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The signal did not get there.
    #[error("cannot stop container: {name}")]
    Control {
        /// The container as asked for.
        name: String,
        /// Why.
        #[source]
        source: ControlError,
    },
}

/// A container is not sent a signal.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The signal is none.
    #[error(transparent)]
    Signal(#[from] InvalidSignal),
    /// It does not run.
    #[error("cannot kill container: {name}: container {id} is not running")]
    NotRunning {
        /// The container as asked for.
        name: String,
        /// Its id.
        id: ContainerId,
    },
    /// No signal of this kernel.
    #[error("cannot kill container: {name}: the linux daemon does not support signal {signal}")]
    Unsupported {
        /// The container as asked for.
        name: String,
        /// The number.
        signal: i32,
    },
    /// It runs, but nothing can be asked of it.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The signal did not get there.
    #[error("cannot kill container: {name}")]
    Control {
        /// The container as asked for.
        name: String,
        /// Why.
        #[source]
        source: ControlError,
    },
}

/// A container is not restarted.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// It does not stop.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// It does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Engine {
    /// Sends the stop signal, then SIGKILL when the time is over, and waits for the end. A container
    /// that does not run is no error.
    ///
    /// # Errors
    /// When there is no such container or it cannot be sent signals.
    ///
    /// # Cancel safety
    /// The stop goes on when the future is dropped: a process that was asked to end gets its SIGKILL
    /// whether or not the client still waits.
    pub async fn stop(
        self: &Arc<Self>,
        name: &str,
        options: &StopOptions,
    ) -> Result<(), StopError> {
        let container = self.containers.find(name)?;
        let settings = stop_settings(&container, options)?;
        let (engine, name) = (Arc::clone(self), name.to_owned());
        let work =
            tokio::spawn(async move { engine.stop_found(&container, name, settings, true).await });
        crate::task::outcome(work).await
    }

    /// Sends a signal to a container's main process; empty means SIGKILL, whose effect is waited for. One
    /// that waits for its start is not started any more by a signal that ends.
    ///
    /// # Errors
    /// When there is no such container, it does not run, or the signal is none.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn kill(self: &Arc<Self>, name: &str, signal: &str) -> Result<(), KillError> {
        let container = self.containers.find(name)?;
        let signal = if signal.is_empty() {
            SignalNumber::KILL
        } else {
            SignalNumber::parse(signal)?
        };
        if !signal.is_real() {
            return Err(KillError::Unsupported {
                name: name.to_owned(),
                signal: signal.number(),
            });
        }
        let (engine, name) = (Arc::clone(self), name.to_owned());
        let work = tokio::spawn(async move { engine.kill_found(&container, name, signal).await });
        crate::task::outcome(work).await
    }

    async fn kill_found(
        self: &Arc<Self>,
        container: &Arc<Container>,
        name: String,
        signal: SignalNumber,
    ) -> Result<(), KillError> {
        let guard = container.lifecycle.lock().await;
        let not_running = |name: String| KillError::NotRunning {
            name,
            id: container.id().clone(),
        };
        if !container.phase().is_alive() {
            return Err(not_running(name));
        }
        let waits = container.phase() == Phase::Restarting;
        if asks_to_end(container, signal) {
            // Before the note, which brings both to the disk.
            self.give_up_restart(container);
            self.note_stop_by_hand(container).await;
            if waits {
                self.store_behind(container);
            }
        }
        if waits {
            return Ok(());
        }
        let Some(running) = container.running_or_unreachable()? else {
            return Err(not_running(name));
        };
        drop(guard);
        let mut run = container.this_run();
        if container.phase() == Phase::Paused {
            if signal == SignalNumber::KILL {
                drop(running.resume().await);
            } else if asks_to_end(container, signal) {
                // Frozen, it could not follow. It may have been thawed meanwhile.
                let guard = container.lifecycle.lock().await;
                drop(self.set_frozen_locked(container, &name, false).await);
                drop(guard);
            }
        }
        self.kill_event(container, &running, signal);
        match running.signal(signal.number()).await {
            Ok(()) => {}
            Err(ControlError::NotRunning { .. }) => return Err(not_running(name)),
            Err(source) => return Err(KillError::Control { name, source }),
        }
        if signal == SignalNumber::KILL {
            run.ended().await;
        }
        Ok(())
    }

    /// Tells of a signal that is about to be sent: the death that it brings must not be told before.
    fn kill_event(&self, container: &Container, running: &Running, signal: SignalNumber) {
        if running.exited().is_some() {
            return;
        }
        let number = signal.number().to_string();
        self.container_event_with(container, "kill", [("signal", &number)]);
    }

    /// Stops a container if it runs, and starts it.
    ///
    /// # Errors
    /// When either fails.
    ///
    /// # Cancel safety
    /// The restart goes on when the future is dropped: stopped is not what anybody asked for.
    pub async fn restart(
        self: &Arc<Self>,
        name: &str,
        options: &StopOptions,
    ) -> Result<(), RestartError> {
        let container = self.containers.find(name).map_err(StopError::from)?;
        let (engine, options) = (Arc::clone(self), options.clone());
        let work = tokio::spawn(async move {
            // By id: its name could be another's in between.
            let id = container.id().as_str();
            let settings = stop_settings(&container, &options)?;
            engine
                .stop_found(&container, id.to_owned(), settings, false)
                .await?;
            engine.start(id).await?;
            engine.container_event(&container, "restart");
            Ok(())
        });
        crate::task::outcome(work).await
    }
}

impl Engine {
    /// Stops a container; `stays` says that it is to be down then, and not only until it is started.
    async fn stop_found(
        self: &Arc<Self>,
        container: &Arc<Container>,
        name: String,
        (signal, timeout): (SignalNumber, Option<Duration>),
        stays: bool,
    ) -> Result<(), StopError> {
        // A start that is under way comes first.
        let guard = container.lifecycle.lock().await;
        if !container.phase().is_alive() {
            return Ok(());
        }
        // Before the note, which brings both to the disk.
        let waited = self.give_up_restart(container);
        if stays {
            self.note_stop_by_hand(container).await;
        }
        if waited {
            self.store_behind(container);
            self.container_event(container, "stop");
            return Ok(());
        }
        let Some(running) = container.running_or_unreachable()? else {
            return Ok(());
        };
        let mut run = container.this_run();
        // Under the lock, so that it is about this run and no other.
        if !stays {
            container.set_restarting();
        }
        drop(guard);
        let ended = self.end(container, &running, &mut run, signal, timeout);
        if let Err(source) = ended.await {
            if !stays {
                container.give_up_restarting(&run);
            }
            return Err(StopError::Control { name, source });
        }
        // Its network and, with `--rm`, itself are gone when this returns.
        let guard = container.lifecycle.lock().await;
        self.container_event(container, "stop");
        drop(guard);
        Ok(())
    }

    /// Sends the stop signal, then SIGKILL when the time is over, and waits for the end.
    async fn end(
        &self,
        container: &Container,
        running: &Running,
        run: &mut ThisRun,
        signal: SignalNumber,
        timeout: Option<Duration>,
    ) -> Result<(), ControlError> {
        let or_ended = |result: Result<(), ControlError>| match result {
            Err(ControlError::NotRunning { .. }) => Ok(()),
            other => other,
        };
        if container.phase() == Phase::Paused {
            or_ended(running.resume().await)?;
        }
        self.kill_event(container, running, signal);
        or_ended(running.signal(signal.number()).await)?;
        let in_time = match timeout {
            None => {
                run.ended().await;
                true
            }
            Some(timeout) => tokio::time::timeout(timeout, run.ended()).await.is_ok(),
        };
        if !in_time {
            self.kill_event(container, running, SignalNumber::KILL);
            or_ended(running.signal(SignalNumber::KILL.number()).await)?;
            run.ended().await;
        }
        Ok(())
    }
}

/// Whether whoever sends this signal wants the container to be down. Docker takes every signal for that
/// when the container has no stop signal of its own, and so forgets the restart policy of a container that
/// was only told to read its configuration again.
fn asks_to_end(container: &Container, signal: SignalNumber) -> bool {
    let own = container.with_record(|record| SignalNumber::parse(&record.config.stop_signal).ok());
    Some(signal) == own || signal.asks_to_end()
}

fn stop_settings(
    container: &Container,
    options: &StopOptions,
) -> Result<(SignalNumber, Option<Duration>), StopError> {
    let (own_signal, own_timeout) =
        container.with_record(|r| (r.config.stop_signal.clone(), r.config.stop_timeout_seconds));
    let signal = match (options.signal.as_str(), own_signal.as_str()) {
        ("", "") => SignalNumber::TERM,
        ("", own) => SignalNumber::parse(own)?,
        (given, _) => SignalNumber::parse(given)?,
    };
    let seconds = options
        .timeout_seconds
        .or(own_timeout)
        .unwrap_or(DEFAULT_TIMEOUT_SECONDS);
    Ok((signal, u64::try_from(seconds).ok().map(Duration::from_secs)))
}

impl Classified for StopError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Signal(_) => ErrorClass::InvalidArgument,
            Self::Unreachable(_) | Self::Control { .. } => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Signal(_) => "invalid-signal",
            Self::Unreachable(_) | Self::Control { .. } => "stop-failed",
        }
    }
}

impl Classified for KillError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Signal(_) | Self::Unsupported { .. } => ErrorClass::InvalidArgument,
            Self::NotRunning { .. } => ErrorClass::Conflict,
            Self::Unreachable(_) | Self::Control { .. } => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Signal(_) | Self::Unsupported { .. } => "invalid-signal",
            Self::NotRunning { .. } => "not-running",
            Self::Unreachable(_) | Self::Control { .. } => "kill-failed",
        }
    }
}

impl Classified for RestartError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Stop(error) => error.class(),
            Self::Start(error) => error.class(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Stop(error) => error.reason(),
            Self::Start(error) => error.reason(),
        }
    }
}
