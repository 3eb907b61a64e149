//! berth with one sandbox machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Contestant;
use crate::memory;
use crate::namespace::Namespace;
use crate::shell::output;

const MACHINE: &str = "bench";

/// The program, its store and its machine, which is removed when this value goes.
#[derive(Debug)]
pub(crate) struct Berth {
    program: PathBuf,
    store: PathBuf,
    address: String,
}

impl Berth {
    /// Makes the machine.
    ///
    /// # Errors
    /// When `BERTH_BIN` is not set or the machine does not come up.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let program = PathBuf::from(std::env::var_os("BERTH_BIN").context("BERTH_BIN is not set")?);
        let mut berth = Self {
            program,
            store: folder.join("store"),
            address: String::new(),
        };
        // Left over by a killed bench.
        drop(output(&mut berth.machine(&["rm", "-y", "-f", MACHINE])));
        output(&mut berth.machine(&["create", MACHINE]))?;
        berth.address = output(&mut berth.machine(&["ip", MACHINE]))?;
        Ok(berth)
    }

    /// Returns `berth machine` with more words.
    pub(crate) fn machine(&self, words: &[&str]) -> Command {
        let mut command = self.command();
        command.arg("machine").args(words);
        command
    }

    /// Runs a command on the machine over SSH and returns its output.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn ssh(&self, words: &[&str]) -> Result<String> {
        output(self.machine(&["ssh", MACHINE]).args(words))
    }

    /// Returns the machine's name.
    pub(crate) fn machine_name(&self) -> &'static str {
        MACHINE
    }

    /// Returns the folder that the bench may fill.
    pub(crate) fn folder(&self) -> &Path {
        self.store.parent().unwrap_or_else(|| Path::new("."))
    }

    /// Returns the folder of the built programs.
    pub(crate) fn programs(&self) -> &Path {
        self.program.parent().unwrap_or_else(|| Path::new("."))
    }
}

impl Contestant for Berth {
    fn name(&self) -> &'static str {
        "berth"
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("MACHINE_STORAGE_PATH", &self.store)
            .env("BERTH_MACHINE", MACHINE);
        command
    }

    fn namespace(&self) -> Option<&Namespace> {
        None
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn memory_of_keepers(&self) -> Result<f64> {
        // All of the agent's program: itself and its supervisors.
        let script = "'for pid in $(pgrep -f \"berthd (serve|supervise)\"); do cat /proc/$pid/smaps_rollup 2>/dev/null; done; true'";
        let total = memory::proportional_in(&self.ssh(&["sh", "-c", script])?)?;
        ensure!(total > 0.0, "no agent runs");
        Ok(total)
    }

    fn memory_of_one_keeper(&self) -> Result<f64> {
        let pid = self.ssh(&["pgrep", "-n", "-f", "'berthd supervise'"])?;
        memory::private_in(&self.ssh(&["cat", &format!("/proc/{pid}/smaps_rollup")])?)
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        // Best effort: `cargo xtask clean` finds what is left.
        drop(output(&mut self.machine(&["rm", "-y", "-f", MACHINE])));
    }
}
