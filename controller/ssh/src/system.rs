//! The system's `ssh` program, and what is built on it, with the same key and the same pinned host
//! key as this client.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::login::{NameError, check_host, check_user};
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
    /// A name would be taken for something else by it.
    #[error(transparent)]
    Name(#[from] NameError),
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
    /// When the key cannot be written, or the host or its user has a name that nobody is given.
    pub fn new(
        endpoint: &Endpoint,
        host_key: &HostKey,
        known_hosts: &Path,
    ) -> Result<Self, SystemError> {
        let name = endpoint.alias.as_ref().unwrap_or(&endpoint.host);
        check_host(name)?;
        check_host(&endpoint.host)?;
        check_user(&endpoint.user)?;
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
            name: name.clone(),
        })
    }

    /// Returns user (the machine's if none is given) and name for programs that run `ssh`
    /// themselves.
    ///
    /// # Errors
    ///
    /// When no user is called that.
    pub fn target_of(&self, user: Option<&str>) -> Result<String, NameError> {
        let user = user.unwrap_or(&self.user);
        check_user(user)?;
        Ok(if self.name.contains(':') {
            format!("{user}@[{}]", self.name)
        } else {
            format!("{user}@{}", self.name)
        })
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

    /// Returns the settings as one line of words, as rsync takes it: between quotes, a doubled one
    /// stands for itself.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = "ssh".to_owned();
        for word in self.words() {
            line.push(' ');
            let word = word.to_string_lossy();
            line.push_str(&format!("'{}'", word.replace('\'', "''")));
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
        arguments.extend(["-l", &self.user, &self.name].map(OsString::from));
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJGEG8o3MMtSIXPYQdrFBl8xhbCVhmwe7QbbLmNOgGbQ";

    fn ssh(host: &str, user: &str, key: &str, folder: &Path) -> Result<SystemSsh, SystemError> {
        let endpoint = Endpoint {
            host: host.to_owned(),
            port: 22,
            user: user.to_owned(),
            key: Some(PathBuf::from(key)),
            ..Endpoint::default()
        };
        let known_hosts = folder.join("known_hosts");
        SystemSsh::new(&endpoint, &HostKey::parse(KEY).unwrap(), &known_hosts)
    }

    #[test]
    fn names_that_are_options_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let made = |host, user| ssh(host, user, "/k", folder.path());
        let option = "-oProxyCommand=id";
        for refused in [made(option, "root"), made("web", option)] {
            assert!(matches!(refused, Err(SystemError::Name(_))), "{refused:?}");
        }
        let fine = made("::1", "root").unwrap();
        assert_eq!(fine.target_of(None).unwrap(), "root@[::1]");
        assert_eq!(fine.target_of(Some("me")).unwrap(), "me@[::1]");
        fine.target_of(Some(option)).unwrap_err();
    }

    #[test]
    fn no_path_of_a_key_becomes_a_word_of_its_own_for_rsync() {
        let folder = tempfile::tempdir().unwrap();
        // In the place of ssh: it tells its words, and rsync that nobody answers.
        let program = folder.path().join("ssh");
        let said = folder.path().join("said");
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\n", said.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let key = "/it's' -oProxyCommand=id '\"";
        let ssh = ssh("web", "root", key, folder.path()).unwrap();
        let path = std::env::var("PATH").unwrap();
        let ran = std::process::Command::new("rsync")
            .env("PATH", format!("{}:{path}", folder.path().display()))
            .args(["-e", &ssh.line(), "--", "root@web:/x"])
            .arg(folder.path().join("to"))
            .output()
            .unwrap();
        assert!(!ran.status.success(), "{ran:?}");
        let said = fs::read_to_string(&said).unwrap();
        let words: Vec<&str> = said.lines().collect();
        let whole = format!("IdentityFile=\"{key}\"");
        assert!(words.contains(&whole.as_str()), "{said}");
        assert!(!words.contains(&"-oProxyCommand=id"), "{said}");
        assert!(
            words.windows(2).any(|pair| pair == ["-l", "root"]),
            "{said}"
        );
    }
}
