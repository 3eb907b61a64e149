//! Copying files to, from and between machines.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use berth_controller_ssh as ssh;
use berth_controller_ssh::copy::{CopyError, CopyOptions, CopyProgress, End, Side, copy};
use berth_controller_ssh::sftp::{Sftp, SftpError};

use crate::ssh::way;
use crate::{Fleet, SshError};

/// The name that means this computer.
const THIS_COMPUTER: &str = "localhost";

/// An end of a copy, as it is written: a path, `machine:path` or `user@machine:path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// The user instead of the machine's.
    pub user: Option<String>,
    /// The machine; `None` for this computer.
    pub machine: Option<String>,
    /// The path there, as bytes.
    pub path: Vec<u8>,
}

/// Files could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The machine cannot be logged in to.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The machine serves no files.
    #[error("files of machine {machine:?} cannot be reached")]
    Files {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: SftpError,
    },
    /// Some or all could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Only differences were asked for, between two machines.
    #[error("only differences can be sent between this computer and one machine, not between two")]
    TwoMachines,
    /// Only differences were asked for, without a machine.
    #[error("neither place is on a machine")]
    NoMachine,
    /// A program that is needed is not on the machine.
    #[error("program {program:?} is not installed on machine {machine:?}")]
    Missing {
        /// The program.
        program: String,
        /// The machine.
        machine: String,
    },
}

impl FilesError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::Files { machine, .. } => Some(format!(
                "its SSH server needs the line \"Subsystem sftp internal-sftp\" in sshd_config; or \
                 pipe: berth machine ssh {machine} cat FILE"
            )),
            Self::Missing { program, .. } => {
                Some(format!("install {program} there, or copy without --delta"))
            }
            Self::TwoMachines => Some("copy without --delta".to_owned()),
            _ => None,
        }
    }
}

impl FilePlace {
    /// Reads a place. A colon before the first slash ends the machine's name; `localhost` is this
    /// computer; `./a:b` is a file with a colon.
    #[must_use]
    pub fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let here = |path: &[u8]| Self {
            user: None,
            machine: None,
            path: path.to_vec(),
        };
        let end = bytes.iter().position(|byte| matches!(byte, b':' | b'/'));
        let Some(colon) = end.filter(|&at| bytes[at] == b':' && at > 0) else {
            return here(bytes);
        };
        let (name, path) = (&bytes[..colon], &bytes[colon + 1..]);
        let name = String::from_utf8_lossy(name).into_owned();
        let (user, machine) = match name.rsplit_once('@') {
            Some((user, machine)) => (Some(user.to_owned()), machine.to_owned()),
            None => (None, name),
        };
        if machine == THIS_COMPUTER {
            return here(path);
        }
        Self {
            user,
            machine: Some(machine),
            path: from_home(path).to_vec(),
        }
    }
}

/// A path on a machine starts at the user's home, with or without `~`.
fn from_home(path: &[u8]) -> &[u8] {
    match path {
        b"~" => b"",
        path => path.strip_prefix(b"~/").unwrap_or(path),
    }
}

/// A machine whose files are open.
struct Served {
    name: String,
    files: Sftp,
    // Its channel lives on it.
    _session: ssh::Session,
}

impl Fleet {
    /// Copies `from` to `to`, through this computer when both are on machines.
    ///
    /// # Errors
    ///
    /// When a machine cannot be reached, or not all could be copied (`progress` was told what).
    pub async fn copy(
        &self,
        from: &FilePlace,
        to: &FilePlace,
        options: CopyOptions,
        progress: &dyn CopyProgress,
    ) -> Result<(), FilesError> {
        let (source, target) = tokio::try_join!(self.serve(from), self.serve(to))?;
        let from = end(source.as_ref(), from);
        let to = end(target.as_ref(), to);
        copy(&from, &to, options, progress).await?;
        Ok(())
    }

    async fn serve(&self, place: &FilePlace) -> Result<Option<Served>, FilesError> {
        let Some(machine) = &place.machine else {
            return Ok(None);
        };
        let loaded = self.load(machine).map_err(SshError::from)?;
        let (mut endpoint, policy) = way(&loaded.record, &*loaded.machine).await?;
        endpoint.user = place.user.clone().unwrap_or(endpoint.user);
        let session = self.enter(&loaded, &endpoint, &policy).await?;
        let files = session.sftp().await;
        Ok(Some(Served {
            name: match &place.user {
                Some(user) => format!("{user}@{machine}"),
                None => machine.clone(),
            },
            files: files.map_err(|source| FilesError::Files {
                machine: machine.clone(),
                source,
            })?,
            _session: session,
        }))
    }

    /// Sends only what differs, by `rsync`, which must be on both sides; returns its exit code.
    ///
    /// # Errors
    ///
    /// When there is no `rsync`, or not exactly one of the places is on a machine.
    pub async fn copy_differences(
        &self,
        from: &FilePlace,
        to: &FilePlace,
        recursive: bool,
        quiet: bool,
    ) -> Result<u8, FilesError> {
        let place = match (&from.machine, &to.machine) {
            (Some(_), Some(_)) => return Err(FilesError::TwoMachines),
            (None, None) => return Err(FilesError::NoMachine),
            (Some(_), None) => from,
            (None, Some(_)) => to,
        };
        let machine = place.machine.clone().unwrap_or_default();
        let loaded = self.load(&machine).map_err(SshError::from)?;
        let session = self.ssh(&machine).await?;
        let found = session.exec("command -v rsync", b"").await;
        let found = found.map_err(|source| SshError::Exec {
            machine: machine.clone(),
            source,
        })?;
        if !found.status.success() {
            return Err(FilesError::Missing {
                program: "rsync".to_owned(),
                machine,
            });
        }
        let way = self.system_ssh(&loaded).await?;
        let mut words: Vec<OsString> = Vec::new();
        if !quiet {
            words.push("--progress".into());
        }
        words.extend(["-e".into(), way.ssh.line().into()]);
        if recursive {
            words.push("-r".into());
        }
        words.push("--".into());
        for place in [from, to] {
            let path = OsString::from_vec(place.path.clone());
            words.push(match &place.machine {
                None => local(path),
                Some(_) => {
                    let target = way.ssh.target_of(place.user.as_deref());
                    let target = target.map_err(|error| SshError::System {
                        machine: machine.clone(),
                        source: error.into(),
                    })?;
                    let mut word = OsString::from(target);
                    word.push(":");
                    word.push(path);
                    word
                }
            });
        }
        let ran = ssh::run_program(OsStr::new("rsync"), &words).await;
        Ok(ran.map_err(|source| SshError::System { machine, source })?)
    }
}

/// A local path that no program takes for a host's.
fn local(path: OsString) -> OsString {
    let bytes = path.as_bytes();
    if bytes.starts_with(b"/") || !bytes.contains(&b':') {
        return path;
    }
    let mut word = OsString::from("./");
    word.push(path);
    word
}

fn end<'a>(served: Option<&'a Served>, place: &FilePlace) -> End<'a> {
    End {
        side: match served {
            None => Side::Local,
            Some(served) => Side::Remote {
                name: &served.name,
                files: &served.files,
            },
        },
        path: place.path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_scp_reads_them() {
        let read = |text: &str| {
            let place = FilePlace::parse(OsStr::new(text));
            let path = String::from_utf8(place.path).unwrap();
            (place.user, place.machine, path)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("m:/a b"), (None, some("m"), "/a b".to_owned()));
        assert_eq!(read("u@m:x:y"), (some("u"), some("m"), "x:y".to_owned()));
        assert_eq!(read("./a:b"), (None, None, "./a:b".to_owned()));
        assert_eq!(read("/a:b"), (None, None, "/a:b".to_owned()));
        assert_eq!(read("localhost:a"), (None, None, "a".to_owned()));
        assert_eq!(read("m:"), (None, some("m"), String::new()));
        assert_eq!(read("m:~/x"), (None, some("m"), "x".to_owned()));
        assert_eq!(read(":x"), (None, None, ":x".to_owned()));
    }
}
