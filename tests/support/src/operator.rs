//! A person with a store of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Machine, Outcome, berth_program};

/// Somebody who uses `berth` with a private home, store and environment.
///
/// All machines of the store are removed when this value goes, however the test ends.
#[derive(Debug)]
pub struct Operator {
    home: TempDir,
}

// === impl Operator ===

impl Operator {
    /// Returns a new one, with nothing yet.
    ///
    /// # Panics
    ///
    /// When no folder can be made for them.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "makes a folder, which a default should not"
    )]
    pub fn new() -> Self {
        // Beside the test, not in /tmp: machines need a file system that overlayfs can write on.
        let test = std::env::current_exe().expect("the test has a path");
        let folder = test
            .ancestors()
            .nth(2)
            .expect("it lies in a folder")
            .join("operators");
        std::fs::create_dir_all(&folder).expect("a folder for operators");
        let home = TempDir::with_prefix_in("o", folder).expect("a home");
        Self { home }
    }

    /// Returns their home.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns the root of their store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.home().join("store")
    }

    /// Returns `berth` with words, in their environment and nobody else's.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(berth_program());
        command
            .args(words)
            .current_dir(self.home())
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.home())
            .env("SHELL", "/bin/bash")
            .env("USER", "operator")
            .env("MACHINE_STORAGE_PATH", self.store());
        if let Some(agent) = std::env::var_os("BERTH_AGENT") {
            command.env("BERTH_AGENT", agent);
        }
        command
    }

    /// Runs `berth` with words to its end.
    pub fn berth(&self, words: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(words))
    }

    /// Makes a sandbox machine.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn machine(&self, name: &str) -> Machine<'_> {
        self.machine_with(name, &[])
    }

    /// Makes a sandbox machine with more flags of `create`.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn machine_with(&self, name: &str, flags: &[&str]) -> Machine<'_> {
        let words = [&["machine", "create"], flags, &[name]].concat();
        self.berth(&words).success();
        self.existing(name)
    }

    /// Returns a machine that the test has made in its own way.
    #[must_use]
    pub fn existing(&self, name: &str) -> Machine<'_> {
        Machine::new(self, name)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let Ok(machines) = std::fs::read_dir(self.store().join("machines")) else {
            return;
        };
        for machine in machines.flatten() {
            let name = machine.file_name().to_string_lossy().into_owned();
            // Best effort: the test has its verdict, and each machine should get its turn.
            let removal = self.command(&["machine", "rm", "-y", "-f", &name]).output();
            if let Ok(output) = removal
                && !output.status.success()
            {
                let said = String::from_utf8_lossy(&output.stderr);
                std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).ok();
            }
        }
    }
}
