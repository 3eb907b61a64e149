//! A machine that a test has made.

use std::path::PathBuf;
use std::process::Command;

use crate::{Background, Operator, Outcome, wait_for};

/// A machine of an [`Operator`].
#[derive(Debug)]
pub struct Machine<'a> {
    operator: &'a Operator,
    name: String,
}

// === impl Machine ===

impl<'a> Machine<'a> {
    /// Returns a handle to one of an operator's machines.
    pub(crate) fn new(operator: &'a Operator, name: &str) -> Self {
        Self {
            operator,
            name: name.to_owned(),
        }
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `berth` with words, on this machine.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.operator.command(words);
        command.env("BERTH_MACHINE", &self.name);
        command
    }

    /// Runs `berth` with words on this machine to its end.
    pub fn berth(&self, words: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(words))
    }

    /// Starts `berth` with words on this machine, beside the test.
    #[must_use]
    pub fn start(&self, words: &[&str]) -> Background {
        Background::start(&mut self.command(words))
    }

    /// Runs a line of shell on the machine over SSH.
    pub fn ssh(&self, line: &str) -> Outcome {
        self.operator.berth(&["machine", "ssh", &self.name, line])
    }

    /// Returns its address.
    ///
    /// # Panics
    ///
    /// When it has none.
    #[must_use]
    pub fn ip(&self) -> String {
        self.operator
            .berth(&["machine", "ip", &self.name])
            .success()
    }

    /// Returns its folder in the store.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.operator.store().join("machines").join(&self.name)
    }

    /// Returns the id, as this host counts, of the agent's main process.
    ///
    /// # Panics
    ///
    /// When there is none within a minute.
    #[must_use]
    pub fn agent_pid(&self) -> u32 {
        let namespace = self.ssh("readlink /proc/self/ns/net").success();
        wait_for("the agent runs", || {
            processes_in(&namespace).into_iter().find(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line);
                let mut words = line.split('\0');
                // What supervises it has these words in its line, too.
                words.next().is_some_and(|word| word.ends_with("berthd"))
                    && words.next() == Some("serve")
            })
        })
    }

    /// Waits until the agent answers.
    ///
    /// # Panics
    ///
    /// When it does not within a minute.
    pub fn wait_for_agent(&self) {
        crate::wait_until("the agent answers", || {
            self.berth(&["version"]).code() == Some(0)
        });
    }

    /// Imports the layer of [`crate::busybox_layer`] as an image.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn import_busybox(&self, reference: &str) {
        let tar = self.operator.home().join("busybox.tar");
        std::fs::write(&tar, crate::busybox_layer().tar()).expect("the tar is written");
        let tar = tar.to_string_lossy();
        self.berth(&["import", &tar, reference]).success();
    }
}

/// Returns the processes in a network namespace, given as `/proc/PID/ns/net` links to it.
fn processes_in(namespace: &str) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::read_link(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|link| link.to_string_lossy() == namespace)
        })
        .collect()
}
