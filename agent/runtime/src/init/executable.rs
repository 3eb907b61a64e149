//! Finding the command that a container runs, and telling why it cannot be run as Docker tells it.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess};

use crate::error::FailureKind;
use crate::failure::{Failure, step};

/// Where commands are looked for if the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the path of `command`; one with a slash is taken as it is.
pub(super) fn find(command: &str, environment: &[String]) -> Result<CString, Failure> {
    if command.contains('/') {
        return match usable(Path::new(command)) {
            Ok(()) => path(command),
            Err(e) => Err(describe(command, e)),
        };
    }
    let search = environment
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    let mut refused = None;
    for directory in search.split(':').filter(|_| !command.is_empty()) {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{directory}/{command}");
        match usable(Path::new(&candidate)) {
            Ok(()) => return path(&candidate),
            Err(Errno::EACCES) => refused = Some(Errno::EACCES),
            Err(_) => {}
        }
    }
    match refused {
        Some(errno) => Err(describe(command, errno)),
        None => Err(not_found(format!(
            "exec: \"{command}\": executable file not found in $PATH"
        ))),
    }
}

/// Says why `execve` failed.
pub(super) fn describe(command: &str, errno: Errno) -> Failure {
    let reason = match errno {
        Errno::ENOENT | Errno::ENOTDIR => {
            return not_found(format!(
                "exec: \"{command}\": stat {command}: {}",
                plain(errno)
            ));
        }
        Errno::ENOEXEC => "exec format error".to_owned(),
        errno => plain(errno),
    };
    Failure::new(step::EXECUTE, format!("exec: \"{command}\": {reason}"))
        .with_kind(FailureKind::CommandNotExecutable)
}

/// The system's words without the number that Rust appends.
fn plain(errno: Errno) -> String {
    match errno {
        Errno::EACCES => "permission denied".to_owned(),
        Errno::EISDIR => "is a directory".to_owned(),
        other => other.desc().to_lowercase(),
    }
}

fn not_found(message: String) -> Failure {
    Failure::new(step::EXECUTE, message).with_kind(FailureKind::CommandNotFound)
}

fn path(text: &str) -> Result<CString, Failure> {
    CString::new(text)
        .map_err(|e| Failure::from_io(step::EXECUTE, text.escape_debug(), &io::Error::from(e)))
}

fn usable(path: &Path) -> Result<(), Errno> {
    let metadata = std::fs::metadata(path)
        .map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR);
    }
    // The superuser passes eaccess for any file with one bit set, as it passes execve.
    if metadata.mode() & 0o111 == 0 {
        return Err(Errno::EACCES);
    }
    eaccess(path, AccessFlags::X_OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart_by_their_exit_codes() {
        let kind = |command: &str| {
            find(command, &["PATH=/bin:/etc".to_owned()]).map_err(|failure| failure.kind)
        };
        kind("sh").unwrap();
        assert_eq!(kind("no-such-command"), Err(FailureKind::CommandNotFound));
        assert_eq!(kind("/no/such"), Err(FailureKind::CommandNotFound));
        assert_eq!(kind("passwd-"), kind("group-"));
        assert_eq!(kind("/etc/passwd"), Err(FailureKind::CommandNotExecutable));
        assert_eq!(kind("/etc"), Err(FailureKind::CommandNotExecutable));
        assert_eq!(kind(""), Err(FailureKind::CommandNotFound));
    }

    #[test]
    fn messages_are_dockers() {
        let message = |command| find(command, &[]).unwrap_err().message;
        assert_eq!(
            message("nope"),
            "exec: \"nope\": executable file not found in $PATH"
        );
        assert_eq!(
            message("/nope"),
            "exec: \"/nope\": stat /nope: no such file or directory"
        );
        assert_eq!(
            message("/etc/passwd"),
            "exec: \"/etc/passwd\": permission denied"
        );
    }
}
