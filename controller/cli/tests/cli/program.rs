//! Runs of `berth` with a home folder of their own.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::agent::FakeAgent;

/// A place with an agent to run `berth` in.
pub(crate) struct Place {
    pub(crate) agent: FakeAgent,
    pub(crate) home: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command without the surroundings of whoever runs the tests.
pub(crate) fn berth(home: &TempDir, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command
        .args(words)
        .env_clear()
        .env("HOME", home.path())
        .env("TZ", "UTC");
    command
        .env("SHELL", "/bin/bash")
        .env("PATH", std::env::var_os("PATH").unwrap());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

// === impl Place ===

impl Place {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self {
            agent: FakeAgent::start(&home.path().join("agent.sock")),
            home,
        }
    }

    /// A place whose agent hangs up on clients that do not say in that time that they are there.
    pub(crate) fn with_impatient_agent(patience: Duration) -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("agent.sock");
        Self {
            agent: FakeAgent::with_patience(&socket, Some(patience)),
            home,
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = berth(&self.home, words);
        let socket = self.home.path().join("agent.sock");
        command.env("BERTH_HOST", format!("unix://{}", socket.display()));
        command
    }

    /// Runs with nothing on standard input.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        Ended::from(self.command(words).output().unwrap())
    }

    /// Runs with a text on standard input.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> Ended {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        Ended::of(child)
    }
}

// === impl Ended ===

impl Ended {
    pub(crate) fn of(child: Child) -> Self {
        Self::from(child.wait_with_output().unwrap())
    }

    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32, said: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(said), "{said:?} is not in {self:?}");
        self
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
