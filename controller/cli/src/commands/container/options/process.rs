//! Flags about the container's main process and who is attached to it.

use std::path::PathBuf;

use berth_proto::v1::{ContainerConfig, HostConfig};

use crate::failure::Failure;
use crate::spec::{env, number};
use crate::switch;
use crate::ui::terminal;

/// Flags about the process.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ProcessOptions {
    /// Keep standard input open, also when nobody is attached
    #[arg(long, short)]
    interactive: bool,

    /// Give the container a terminal
    #[arg(long, short)]
    pub(crate) tty: bool,

    /// Attach to stdin, stdout or stderr (repeatable)
    #[arg(long, short, value_name = "STREAM", value_parser = stream)]
    pub(crate) attach: Vec<Stream>,

    /// Set a variable: NAME=VALUE, or NAME to take its value from here
    #[arg(long, short, value_name = "NAME[=VALUE]", value_parser = env::variable)]
    env: Vec<String>,

    /// Set the variables of a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Folder in which the command starts
    #[arg(long, short, value_name = "PATH")]
    workdir: Option<String>,

    /// User (and group) of the command: names or numbers
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Add the user to a group
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,

    /// Program instead of the image's entrypoint; empty for none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// Host name inside the container
    #[arg(long, short = 'h', value_name = "NAME")]
    hostname: Option<String>,

    /// Domain name inside the container
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,

    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,

    /// Seconds to wait for it to stop before it is killed; -1 to wait for ever
    #[arg(long, value_name = "SECONDS", value_parser = number::int)]
    stop_timeout: Option<i64>,

    /// Run an init that reaps processes and passes signals on
    #[arg(long, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    #[arg(default_missing_value = "true", value_name = "BOOL", value_parser = switch::go_bool)]
    init: Option<bool>,
}

/// A stream to attach to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

/// Which streams the command is attached to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

fn stream(text: &str) -> Result<Stream, String> {
    match text.to_lowercase().as_str() {
        "stdin" => Ok(Stream::Stdin),
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

// === impl Attached ===

impl Attached {
    /// Says whether any stream is attached.
    pub(crate) fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }

    /// Says whether output is shown.
    pub(crate) fn shows_output(self) -> bool {
        self.stdout || self.stderr
    }
}

// === impl ProcessOptions ===

impl ProcessOptions {
    /// The streams that the flags ask for: those of `-a`, all output without it, and the input
    /// with `-i` in any case.
    pub(crate) fn attached(&self) -> Attached {
        let named = |stream| self.attach.contains(&stream);
        let all_output = self.attach.is_empty();
        Attached {
            stdin: self.interactive || named(Stream::Stdin),
            stdout: all_output || named(Stream::Stdout),
            stderr: all_output || named(Stream::Stderr),
        }
    }

    /// Puts what the flags say where the agent looks for it.
    pub(crate) fn apply(
        &self,
        attached: Attached,
        config: &mut ContainerConfig,
        host: &mut HostConfig,
    ) -> Result<(), Failure> {
        let here = |name: &str| std::env::var_os(name);
        config.env = env::variables(&self.env_file, &self.env, &here)
            .map_err(|error| Failure::because(&error))?;
        config.entrypoint = self.entrypoint.iter().cloned().collect();
        config.working_dir = self.workdir.clone().unwrap_or_default();
        config.user = self.user.clone().unwrap_or_default();
        config.hostname = self.hostname.clone().unwrap_or_default();
        config.domainname = self.domainname.clone().unwrap_or_default();
        config.tty = self.tty;
        config.open_stdin = self.interactive;
        config.stdin_once = self.interactive && attached.stdin;
        config.attach_stdin = attached.stdin;
        config.attach_stdout = attached.stdout;
        config.attach_stderr = attached.stderr;
        config.stop_signal = self.stop_signal.clone().unwrap_or_default();
        config.stop_timeout_seconds = self.stop_timeout;
        config.console_size = if self.tty { terminal::size() } else { None };
        host.group_add = self.group_add.clone();
        host.init = self.init;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_attached_with_i_whatever_a_says() {
        let mut options = ProcessOptions {
            interactive: true,
            ..ProcessOptions::default()
        };
        let all = Attached {
            stdin: true,
            stdout: true,
            stderr: true,
        };
        assert_eq!(options.attached(), all);
        options.attach = vec![Stream::Stderr];
        let errors = Attached {
            stdin: true,
            stdout: false,
            stderr: true,
        };
        assert_eq!(options.attached(), errors);
        options.interactive = false;
        assert!(!options.attached().stdin);
    }
}
