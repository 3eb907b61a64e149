//! The system's `ssh` program, and what is built on it, with the same key and the same pinned host
//! key as this client.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Endpoint, HostKey, known_hosts};

/// The name under which the machine's key is written down for the program.
const KEY_NAME: &str = "berth-machine";

/// The system's program, set up for one host.
#[derive(Clone, Debug)]
pub struct SystemSsh {
    settings: Vec<(&'static str, String)>,
    user: String,
    name: String,
}

/// A program of the system cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// It is not installed.
    #[error("program {0:?} is not installed on this computer")]
    Missing(String),
    /// It cannot be run.
    #[error("program {program:?} cannot be run")]
    Run {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host's key cannot be written down for it.
    #[error("host key cannot be written to {}", path.display())]
    KnownHosts {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SystemSsh {
    /// Sets the program up for a host whose key is `host_key`, which is written down at
    /// `known_hosts`, a file for this host alone.
    ///
    /// # Errors
    ///
    /// When the key cannot be written.
    pub fn new(
        endpoint: &Endpoint,
        host_key: &HostKey,
        known_hosts: &Path,
    ) -> Result<Self, SystemError> {
        write(known_hosts, &known_hosts::line(KEY_NAME, 22, host_key)).map_err(|source| {
            SystemError::KnownHosts {
                path: known_hosts.to_owned(),
                source,
            }
        })?;
        let mut settings = vec![
            // What names the interface of a scoped address would be taken for a token.
            ("HostName", endpoint.host.replace('%', "%%")),
            ("Port", endpoint.port.to_string()),
            ("HostKeyAlias", KEY_NAME.to_owned()),
            ("UserKnownHostsFile", quoted(known_hosts)),
            ("GlobalKnownHostsFile", "/dev/null".to_owned()),
            ("StrictHostKeyChecking", "yes".to_owned()),
            ("CheckHostIP", "no".to_owned()),
            ("PasswordAuthentication", "no".to_owned()),
            ("ControlMaster", "no".to_owned()),
            ("ControlPath", "none".to_owned()),
            ("LogLevel", "ERROR".to_owned()),
        ];
        if let Some(key) = &endpoint.key {
            settings.push(("IdentitiesOnly", "yes".to_owned()));
            settings.push(("IdentityFile", quoted(key)));
        }
        Ok(Self {
            settings,
            user: endpoint.user.clone(),
            name: endpoint
                .alias
                .clone()
                .unwrap_or_else(|| endpoint.host.clone()),
        })
    }

    /// Returns user (the machine's if none is given) and name for programs that run `ssh`
    /// themselves.
    #[must_use]
    pub fn target_of(&self, user: Option<&str>) -> String {
        let user = user.unwrap_or(&self.user);
        if self.name.contains(':') {
            format!("{user}@[{}]", self.name)
        } else {
            format!("{user}@{}", self.name)
        }
    }

    /// Returns the settings as words `-o Keyword=value`.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let word = |(keyword, value): &(&str, String)| {
            [
                OsString::from("-o"),
                OsString::from(format!("{keyword}={value}")),
            ]
        };
        self.settings.iter().flat_map(word).collect()
    }

    /// Returns the settings as one line of shell words, for programs that take one.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = "ssh".to_owned();
        for word in self.words() {
            line.push(' ');
            let word = word.to_string_lossy();
            line.push_str(&format!("'{}'", word.replace('\'', r"'\''")));
        }
        line
    }

    /// Returns the settings as one value of sshfs's option `ssh_command`, where backslashes keep
    /// spaces and commas.
    #[must_use]
    pub fn sshfs_command(&self) -> String {
        let mut command = "ssh".to_owned();
        for word in self.words() {
            command.push(' ');
            let word = word.to_string_lossy();
            command.push_str(&word.replace('\\', r"\\").replace(' ', r"\ "));
        }
        command.replace('\\', r"\\").replace(',', r"\,")
    }

    /// Runs `ssh` with the words after the host's name; returns its exit code.
    ///
    /// # Errors
    ///
    /// When there is no such program.
    pub async fn run(&self, words: &[String]) -> Result<u8, SystemError> {
        let mut arguments = self.words();
        arguments.push(OsString::from(format!("{}@{}", self.user, self.name)));
        arguments.extend(words.iter().map(OsString::from));
        run(OsStr::new("ssh"), &arguments).await
    }
}

/// Runs a program with this process's terminal, input and output; returns its exit code, 128 and
/// the signal's number when a signal ended it.
///
/// # Errors
///
/// When there is no such program.
pub async fn run(program: &OsStr, arguments: &[OsString]) -> Result<u8, SystemError> {
    let name = || program.to_string_lossy().into_owned();
    // From the keyboard they go to the program as well: it decides what to make of them.
    let _interrupts = signal(SignalKind::interrupt()).ok();
    let _quits = signal(SignalKind::quit()).ok();
    let status = Command::new(program).args(arguments).status().await;
    let status = status.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => SystemError::Missing(name()),
        _ => SystemError::Run {
            program: name(),
            source,
        },
    })?;
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    };
    Ok(u8::try_from(code).unwrap_or(255))
}

/// Paths with spaces are one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    if text.contains(' ') {
        format!("\"{text}\"")
    } else {
        text
    }
}

/// Writes a file through a name of its own, so that no half of it is ever read.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(name);
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // Best effort: what counts is the failure before.
        let _ = fs::remove_file(&temporary);
    }
    written
}
