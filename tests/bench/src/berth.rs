//! berth with one sandbox machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell::output;

const MACHINE: &str = "bench";

/// The program, its store and its machine, which is removed when this value goes.
#[derive(Debug)]
pub(crate) struct Berth {
    program: PathBuf,
    store: PathBuf,
}

impl Berth {
    /// Makes the machine.
    ///
    /// # Errors
    /// When `BERTH_BIN` is not set or the machine does not come up.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let program = PathBuf::from(std::env::var_os("BERTH_BIN").context("BERTH_BIN is not set")?);
        let berth = Self {
            program,
            store: folder.join("store"),
        };
        output(&mut berth.machine(&["create", MACHINE]))?;
        Ok(berth)
    }

    /// Returns `berth` with its store and machine set.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("MACHINE_STORAGE_PATH", &self.store)
            .env("BERTH_MACHINE", MACHINE);
        command
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
    pub(crate) fn name(&self) -> &'static str {
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

impl Drop for Berth {
    fn drop(&mut self) {
        // Best effort: `cargo xtask clean` finds what is left.
        drop(output(&mut self.machine(&["rm", "-y", "-f", MACHINE])));
    }
}
