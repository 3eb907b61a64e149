//! What goes wrong with a plugin.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use berth_provisioners_api::DriverError;

use crate::options::TIMEOUT_VARIABLE;

/// A plugin did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    /// It cannot be started.
    #[error("plugin {} cannot be started", path.display())]
    Start {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It did not say where it listens.
    #[error("plugin {driver} did not print its address within {} s", after.as_secs_f32())]
    Silent { driver: String, after: Duration },
    /// It said something else.
    #[error("plugin {driver} printed {said:?} instead of its address")]
    NoAddress { driver: String, said: String },
    /// It listens, but speaks something else.
    #[error("plugin {driver} cannot be spoken to at {address}")]
    Connect {
        driver: String,
        address: String,
        #[source]
        source: io::Error,
    },
    /// It is of another time.
    #[error("plugin {driver}: Driver binary uses an incompatible API version ({version})")]
    Version { driver: String, version: i64 },
    /// It ended before it said its address, or during a call.
    #[error("plugin {driver} failed in {during}: {reason}{}", said(last))]
    Lost {
        driver: String,
        during: String,
        reason: String,
        last: String,
    },
    /// It did not answer in time.
    #[error("plugin {driver} did not answer {method} within {} s", after.as_secs_f32())]
    Timeout {
        driver: String,
        method: String,
        after: Duration,
    },
    /// It answered with something of another type.
    #[error("plugin {driver} answered {method} with {what}")]
    Answer {
        driver: String,
        method: String,
        what: String,
    },
    /// The driver in it says no.
    #[error("driver {driver} refused {method}")]
    Refused {
        driver: String,
        method: String,
        #[source]
        source: Said,
    },
    /// The thread that looks after plugins.
    #[error("plugins cannot be run")]
    Thread(#[from] io::Error),
}

/// The words of a driver.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Said(pub(crate) String);

fn said(last: &str) -> String {
    if last.is_empty() {
        return String::new();
    }
    format!("; it printed: {last}")
}

// === impl PluginError ===

impl PluginError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Start { path, .. } => {
                format!("install {} anew, for this system", path.display())
            }
            Self::Silent { driver, .. } | Self::NoAddress { driver, .. } => format!(
                "docker-machine-driver-{driver} may be broken, or no plugin: run it by hand, it \
                 should say that it is a plugin"
            ),
            Self::Connect { .. } | Self::Version { .. } => {
                "install a version of the plugin for docker-machine 0.16 or rancher".to_owned()
            }
            Self::Timeout { .. } => format!(
                "--debug shows what the plugin says; {TIMEOUT_VARIABLE}=SECONDS gives it more time"
            ),
            Self::Lost { during, .. } if during == "Create" => {
                "what it made until then may exist: berth machine rm asks it to remove that; \
                 --debug shows what it says"
                    .to_owned()
            }
            Self::Lost { .. } | Self::Answer { .. } => {
                "try again; --debug shows what the plugin says".to_owned()
            }
            _ => return None,
        })
    }
}

impl From<PluginError> for DriverError {
    fn from(error: PluginError) -> Self {
        let hint = error.hint();
        let failed = match error {
            // One sentence with the driver's own words as its cause.
            PluginError::Refused {
                driver,
                method,
                source,
            } => Self::failed(format!("driver {driver} refused {method}"), source),
            error => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                match source {
                    Some(source) => Self::failed(error.to_string(), Said(source)),
                    None => Self::refused(error.to_string()),
                }
            }
        };
        match hint {
            Some(hint) => failed.with_hint(hint),
            None => failed,
        }
    }
}
