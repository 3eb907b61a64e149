//! Where files are, and how they are replaced.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Begins the names of files that are not complete yet.
const TEMPORARY: &str = ".new-";

/// A file could not be replaced; the old one is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl WriteError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let folder = self.path.parent().unwrap_or(&self.path).display();
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(format!(
                "make room on the disk of {folder}, then give the command again; nothing was \
                 changed there"
            )),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Some(format!(
                "{folder} must be writable; --storage-path chooses another store"
            )),
            _ => None,
        }
    }
}

/// The files of the operator's authority and client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertPaths {
    /// Their directory.
    pub directory: PathBuf,
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The authority's private key.
    pub ca_key: PathBuf,
    /// The client's certificate.
    pub cert: PathBuf,
    /// The client's private key.
    pub key: PathBuf,
}

/// The files of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachinePaths {
    /// The machine's directory.
    pub directory: PathBuf,
    /// docker-machine's record.
    pub config: PathBuf,
    /// Our own record.
    pub side: PathBuf,
    /// Copy of the authority's certificate.
    pub ca: PathBuf,
    /// Copy of the client's certificate.
    pub cert: PathBuf,
    /// Copy of the client's private key.
    pub key: PathBuf,
    /// The machine's certificate.
    pub server: PathBuf,
    /// The machine's private key.
    pub server_key: PathBuf,
}

impl CertPaths {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            ca: directory.join("ca.pem"),
            ca_key: directory.join("ca-key.pem"),
            cert: directory.join("cert.pem"),
            key: directory.join("key.pem"),
            directory,
        }
    }
}

impl MachinePaths {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            config: directory.join("config.json"),
            side: directory.join("berth.json"),
            ca: directory.join("ca.pem"),
            cert: directory.join("cert.pem"),
            key: directory.join("key.pem"),
            server: directory.join("server.pem"),
            server_key: directory.join("server-key.pem"),
            directory,
        }
    }
}

/// Replaces `path` by a file of mode 0600 with `content`: either the old file or the whole new one
/// is there at any time, also after a crash.
///
/// # Errors
///
/// When the disk is full or refuses; nothing is left behind then.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    replace(path, content).map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    // The temporary file starts with a dot: no one mistakes it for a machine or a key.
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    rename(file, path)?;
    sync_directory(directory)
}

/// Returns where the copy of a file is that stands in when the file is torn.
pub(crate) fn copy_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.good"))
}

/// Keeps a copy of what was just written to `path`. It is not waited for: the file itself is safe,
/// and the copy is for what others may do to that.
pub(crate) fn keep_copy(path: &Path, content: &[u8]) {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let written = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(directory)
        .and_then(|mut file| {
            file.write_all(content)?;
            rename(file, &copy_of(path))
        });
    if let Err(error) = written {
        tracing::debug!(path = %path.display(), %error, "no copy was kept");
    }
}

/// Removes what writers left in `directory` that were killed. Only for the holder of its lock.
pub(crate) fn sweep(directory: &Path) {
    let left = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in left.filter(|e| e.file_name().to_string_lossy().starts_with(TEMPORARY)) {
        // Best effort: it is only an unfinished copy.
        let _ = fs::remove_file(entry.path());
    }
}

fn rename(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map(drop).map_err(|error| error.error)
}

pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes `directory` with mode 0700, and its parents as the umask has it.
pub(crate) fn make_private_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn written_files_are_private_and_nothing_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn failed_write_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let error = write_private(&directory.path().join("none/key.pem"), b"x").unwrap_err();
        assert!(error.to_string().ends_with("none/key.pem"), "{error}");
    }
}
