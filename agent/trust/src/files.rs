//! Files that are either the old or the whole new ones, readable by root alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file of the agent's trust cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was to be done.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Returns the content of a file, or nothing when it does not exist.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

/// Returns the content of a file that must exist.
pub(crate) fn require(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| failed("read", path, source))
}

/// Replaces a file; its old content stays when that fails.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    // Only the holder of the change lock writes here, so the name is ours; one that a crash has
    // left is overwritten.
    let temporary = beside(path, ".writing");
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(path)
    };
    write().map_err(|source| {
        // Best effort: on a full disk the half file should not stay.
        let _ = fs::remove_file(&temporary);
        failed("write", path, source)
    })
}

/// Gives a file another's name and content.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to)
        .and_then(|()| sync_folder(to))
        .map_err(|source| failed("replace", to, source))
}

/// Returns the path of a file that belongs to `path`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> FileError {
    FileError {
        action,
        path: path.to_owned(),
        source,
    }
}
