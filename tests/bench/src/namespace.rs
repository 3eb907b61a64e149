//! A network namespace for a contestant, so that it changes nothing of this host's network.

use std::fs::File;
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};

use crate::shell::output;

/// A network namespace with a name, removed when this value goes.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: &'static str,
    file: File,
}

impl Namespace {
    /// Makes it, with a loopback interface that is up.
    ///
    /// # Errors
    /// When `ip` cannot make it.
    pub(crate) fn make(name: &'static str) -> Result<Self> {
        // Left over by a killed bench.
        drop(output(Command::new("ip").args(["netns", "delete", name])));
        output(Command::new("ip").args(["netns", "add", name]))?;
        let path = format!("/run/netns/{name}");
        let namespace = Self {
            name,
            file: File::open(&path).with_context(|| format!("cannot open {path}"))?,
        };
        let up = || output(Command::new("ip").args(["link", "set", "lo", "up"]));
        namespace.inside(up)??;
        Ok(namespace)
    }

    /// Does something inside, on a thread of its own: processes that it starts are inside too.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let enter_and_work = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")?;
            Ok(work())
        };
        std::thread::scope(|scope| {
            let ended = scope.spawn(enter_and_work).join();
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Best effort: the next bench tries again.
        drop(output(
            Command::new("ip").args(["netns", "delete", self.name]),
        ));
    }
}
