//! Ends and restarts containers: stop, kill, restart.

use std::sync::Arc;
use std::time::Duration;

use berth_agent_runtime::ControlError;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::containers::LookupError;
use crate::container::status::Phase;
use crate::container::{Container, Unreachable};
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
        let name = name.to_owned();
        let work = tokio::spawn(async move { stop_found(&container, name, settings).await });
        crate::task::outcome(work).await
    }

    /// Sends a signal to a container's main process; empty means SIGKILL, whose effect is waited for.
    ///
    /// # Errors
    /// When there is no such container, it does not run, or the signal is none.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<(), KillError> {
        let container = self.containers.find(name)?;
        let signal = if signal.is_empty() {
            SignalNumber::KILL
        } else {
            SignalNumber::parse(signal)?
        };
        drop(container.lifecycle.lock().await);
        let not_running = || KillError::NotRunning {
            name: name.to_owned(),
            id: container.id().clone(),
        };
        let running = container
            .running_or_unreachable()?
            .ok_or_else(not_running)?;
        let mut observed = container.observe();
        if container.phase() == Phase::Paused && signal == SignalNumber::KILL {
            drop(running.resume().await);
        }
        match running.signal(signal.number()).await {
            Ok(()) => {}
            Err(ControlError::NotRunning { .. }) => return Err(not_running()),
            Err(source) => {
                return Err(KillError::Control {
                    name: name.to_owned(),
                    source,
                });
            }
        }
        if signal == SignalNumber::KILL {
            drop(observed.wait_for(|o| !o.phase.is_alive()).await);
        }
        Ok(())
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
            container.set_restarting(true);
            let stopped = engine.stop(id, &options).await;
            container.set_restarting(false);
            stopped?;
            engine.start(id).await?;
            Ok(())
        });
        crate::task::outcome(work).await
    }
}

async fn stop_found(
    container: &Container,
    name: String,
    (signal, timeout): (SignalNumber, Option<Duration>),
) -> Result<(), StopError> {
    // A start that is under way comes first.
    drop(container.lifecycle.lock().await);
    let Some(running) = container.running_or_unreachable()? else {
        return Ok(());
    };
    let mut observed = container.observe();
    let ended = |error: ControlError| match error {
        ControlError::NotRunning { .. } => Ok(()),
        source => Err(StopError::Control {
            name: name.clone(),
            source,
        }),
    };
    if container.phase() == Phase::Paused {
        running.resume().await.or_else(ended)?;
    }
    running.signal(signal.number()).await.or_else(ended)?;
    let over = observed.wait_for(|o| !o.phase.is_alive());
    let in_time = match timeout {
        None => {
            drop(over.await);
            true
        }
        Some(timeout) => tokio::time::timeout(timeout, over).await.is_ok(),
    };
    if !in_time {
        running
            .signal(SignalNumber::KILL.number())
            .await
            .or_else(ended)?;
        drop(observed.wait_for(|o| !o.phase.is_alive()).await);
    }
    // Its network and, with `--rm`, itself are gone when this returns.
    drop(container.lifecycle.lock().await);
    Ok(())
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
            Self::Signal(_) => ErrorClass::InvalidArgument,
            Self::NotRunning { .. } => ErrorClass::Conflict,
            Self::Unreachable(_) | Self::Control { .. } => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Signal(_) => "invalid-signal",
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
