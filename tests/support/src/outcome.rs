//! How a command ended.

use std::process::{Command, Output, Stdio};

/// Exit code and output of a command that has ended; to be judged by one of its methods.
#[must_use = "say what you expect of it"]
#[derive(Debug)]
pub struct Outcome {
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

// === impl Outcome ===

impl Outcome {
    /// Runs a command to its end, without input.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn of(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        Self::from_output(line, output)
    }

    /// Takes over the result of a command that was run otherwise.
    pub fn from_output(line: String, output: Output) -> Self {
        Self {
            line,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Demands exit code 0 and returns the standard output without its last end of line.
    ///
    /// # Panics
    ///
    /// When it failed.
    #[track_caller]
    pub fn success(self) -> String {
        self.exits_with(0).stdout.trim_end_matches('\n').to_owned()
    }

    /// Demands an exit code.
    ///
    /// # Panics
    ///
    /// When it was another.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "{}\nended with {:?}, not {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Demands any failure, and that each of `words` is in the standard error.
    ///
    /// # Panics
    ///
    /// When it succeeded, or said something else.
    #[track_caller]
    pub fn fails_saying(self, words: &[&str]) -> Self {
        assert!(
            self.code != Some(0),
            "{}\nsucceeded:\n{}",
            self.line,
            self.stdout
        );
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{}\ndid not say {word:?} but\n{}",
                self.line,
                self.stderr
            );
        }
        self
    }

    /// Returns the exit code; `None` when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// Returns the standard output.
    #[must_use]
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// Returns the standard error.
    #[must_use]
    pub fn stderr(&self) -> &str {
        &self.stderr
    }
}
