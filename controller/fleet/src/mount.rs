//! A machine's directory as one of this computer, by `sshfs`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use berth_controller_ssh as ssh;
use berth_controller_ssh::SystemError;

use crate::{Fleet, SshError};

/// Programs that take a mount of FUSE away, the first that is installed is used.
const UNMOUNTERS: [(&str, &[&str]); 3] = [
    ("fusermount", &["-u"]),
    ("fusermount3", &["-u"]),
    ("umount", &[]),
];

/// A directory could not be mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The machine cannot be logged in to.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// There is nothing to mount on.
    #[error("mount point {0:?} is not a directory")]
    Point(String),
    /// A program cannot be used.
    #[error("cannot mount")]
    System(#[from] SystemError),
}

impl MountError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::Point(point) => Some(format!("mkdir {point}")),
            Self::System(SystemError::Missing(program)) => Some(format!(
                "install {program} (package sshfs); berth machine scp copies without it"
            )),
            Self::System(_) => None,
        }
    }
}

impl Fleet {
    /// Mounts `path` of a machine on `point`; returns the exit code of `sshfs`.
    ///
    /// # Errors
    ///
    /// When the machine cannot be reached, there is no `sshfs`, or nothing to mount on.
    pub async fn mount(
        &self,
        name: &str,
        user: Option<&str>,
        path: &OsStr,
        point: &Path,
    ) -> Result<u8, MountError> {
        if !point.is_dir() {
            return Err(MountError::Point(point.display().to_string()));
        }
        let loaded = self.load(name).map_err(SshError::from)?;
        let way = self.system_ssh(&loaded).await?;
        let target = way.ssh.target_of(user).map_err(SystemError::from)?;
        let mut source = OsString::from(target);
        source.push(":");
        source.push(path);
        let mut command = OsString::from("ssh_command=");
        command.push(way.ssh.sshfs_command());
        let words = ["-o".into(), command, source, path_word(point)];
        Ok(ssh::run_program(OsStr::new("sshfs"), &words).await?)
    }

    /// Takes a mount away; returns the exit code of the program that does it.
    ///
    /// # Errors
    ///
    /// When there is no such program.
    pub async fn unmount(&self, point: &Path) -> Result<u8, MountError> {
        let mut missing = SystemError::Missing("fusermount".to_owned());
        for (program, words) in UNMOUNTERS {
            let words = words.iter().map(OsString::from);
            let words: Vec<_> = words.chain([path_word(point)]).collect();
            match ssh::run_program(OsStr::new(program), &words).await {
                Err(SystemError::Missing(_)) if program != "umount" => {}
                Err(error) => missing = error,
                Ok(code) => return Ok(code),
            }
        }
        Err(missing.into())
    }
}

/// A path that no program takes for an option.
fn path_word(path: &Path) -> OsString {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return Path::new(".").join(path).into_os_string();
    }
    path.as_os_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_an_option() {
        assert_eq!(path_word(Path::new("-oallow_other")), "./-oallow_other");
        assert_eq!(path_word(Path::new("/mnt")), "/mnt");
        assert_eq!(path_word(Path::new("a")), "a");
    }
}
