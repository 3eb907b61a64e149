//! The engines that are measured. All of them understand the same command lines.

mod berth;
mod docker;
mod podman;

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

pub(crate) use berth::Berth;
pub(crate) use docker::Docker;
pub(crate) use podman::Podman;

use crate::namespace::Namespace;
use crate::shell;

/// An engine with its client.
pub(crate) trait Contestant: Sync {
    /// Returns the name in the report.
    fn name(&self) -> &'static str;

    /// Returns its client, ready for a command's words.
    fn command(&self) -> Command;

    /// Returns where its commands run and its ports are published; nothing for this host.
    fn namespace(&self) -> Option<&Namespace>;

    /// Returns the address at which its published ports answer.
    fn address(&self) -> &str;

    /// Returns what its daemons and the keepers of its containers hold in memory, in MiB: their
    /// proportional set size, in which shared pages count once.
    ///
    /// # Errors
    /// When a process cannot be looked at.
    fn memory_of_keepers(&self) -> Result<f64>;

    /// Returns what the keeper of the container that was started last holds for itself, in MiB.
    ///
    /// # Errors
    /// When there is no such process.
    fn memory_of_one_keeper(&self) -> Result<f64>;
}

impl dyn Contestant + '_ {
    /// Does something where its commands run.
    ///
    /// # Errors
    /// What `work` returns, or when the place cannot be entered.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match self.namespace() {
            Some(namespace) => namespace.inside(work)?,
            None => work(),
        }
    }

    /// Runs a command and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn output(&self, words: &[&str]) -> Result<String> {
        self.inside(|| shell::output(self.command().args(words)))
    }

    /// Runs a command and returns how long it took.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn timed(&self, words: &[&str]) -> Result<Duration> {
        self.inside(|| shell::timed(self.command().args(words)))
    }

    /// Runs a command and returns how many bytes it printed, and how long it took.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn drained(&self, words: &[&str]) -> Result<(u64, Duration)> {
        self.inside(|| shell::drained(self.command().args(words)))
    }

    /// Removes containers; it does not matter whether there are such.
    pub(crate) fn remove(&self, names: &[&str]) {
        let words = [&["rm", "-f"], names].concat();
        drop(self.output(&words));
    }
}
