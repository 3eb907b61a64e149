//! How a step of a start failed, on its way from the process that failed to the agent.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::error::FailureKind;

/// A failed step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) step: String,
    pub(crate) message: String,
    pub(crate) kind: FailureKind,
}

impl Failure {
    pub(crate) fn new(step: &str, message: impl Into<String>) -> Self {
        Self {
            step: step.to_owned(),
            message: message.into(),
            kind: FailureKind::Other,
        }
    }

    pub(crate) fn from_io(step: &str, what: impl fmt::Display, error: &io::Error) -> Self {
        let message = format!("{what}: {error}");
        Self {
            step: step.to_owned(),
            message,
            kind: kind_of(error),
        }
    }

    pub(crate) fn with_kind(mut self, kind: FailureKind) -> Self {
        self.kind = kind;
        self
    }
}

fn kind_of(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
        _ => FailureKind::Other,
    }
}

/// Says at which step, and with what, an operation failed.
pub(crate) trait AtStep<T> {
    /// Turns an error into a failure of `step`; `what` names the noun, for example a path.
    fn at<D: fmt::Display>(
        self,
        step: &'static str,
        what: impl FnOnce() -> D,
    ) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> AtStep<T> for Result<T, E> {
    fn at<D: fmt::Display>(
        self,
        step: &'static str,
        what: impl FnOnce() -> D,
    ) -> Result<T, Failure> {
        self.map_err(|error| Failure::from_io(step, what(), &error.into()))
    }
}

/// The names of the steps.
pub(crate) mod step {
    pub(crate) const REQUEST: &str = "reading request";
    pub(crate) const BUNDLE: &str = "preparing bundle";
    pub(crate) const STREAMS: &str = "opening streams";
    pub(crate) const CGROUP: &str = "setting up cgroup";
    pub(crate) const NAMESPACES: &str = "entering namespaces";
    pub(crate) const ROOT: &str = "mounting root filesystem";
    pub(crate) const MOUNTS: &str = "mounting";
    pub(crate) const DEVICES: &str = "making devices";
    pub(crate) const TERMINAL: &str = "opening terminal";
    pub(crate) const SYSCTL: &str = "setting kernel parameter";
    pub(crate) const SHIELD: &str = "hiding paths";
    pub(crate) const PIVOT: &str = "changing root";
    pub(crate) const HOSTNAME: &str = "setting host name";
    pub(crate) const LIMITS: &str = "setting limits";
    pub(crate) const USER: &str = "changing user";
    pub(crate) const CAPABILITIES: &str = "setting capabilities";
    pub(crate) const SECCOMP: &str = "installing seccomp filter";
    pub(crate) const LABELS: &str = "setting security labels";
    pub(crate) const HOOK: &str = "running hook";
    pub(crate) const DIRECTORY: &str = "entering working directory";
    pub(crate) const EXECUTE: &str = "executing command";
    pub(crate) const FORK: &str = "forking";
    pub(crate) const EXTERNAL: &str = "running external runtime";
}
