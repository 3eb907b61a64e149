//! Machines that are put together beside the others and appear whole, or not at all.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use tempfile::TempDir;

use crate::files::{self, write_private};
use crate::{MachineRecord, Store, WriteError};

/// Begins the names of folders that are not machines yet.
const PREFIX: &str = ".stage-";

/// A machine's folder before it has its name. It goes away unless it is committed, at the latest
/// when the next one is made.
#[derive(Debug)]
pub struct Staging {
    folder: TempDir,
    // Says to others that somebody is still at it.
    _lock: Flock<File>,
    machines: PathBuf,
}

impl Staging {
    pub(crate) fn new(store: &Store) -> Result<Self, WriteError> {
        let machines = store.root().join("machines");
        let failed = |source| WriteError {
            path: machines.clone(),
            source,
        };
        sweep(&machines);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&machines)
            .map_err(failed)?;
        let lock = File::open(folder.path())
            .and_then(|file| {
                Flock::lock(file, FlockArg::LockExclusiveNonblock)
                    .map_err(|(_, errno)| errno.into())
            })
            .map_err(failed)?;
        Ok(Self {
            folder,
            _lock: lock,
            machines,
        })
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into it, mode 0600.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn put(&self, name: &str, content: &[u8]) -> Result<(), WriteError> {
        write_private(&self.folder().join(name), content)
    }

    /// Writes the record and gives the folder the machine's name.
    ///
    /// # Errors
    ///
    /// When something cannot be written, or there is a folder of that name (`AlreadyExists`).
    pub fn commit(self, store: &Store, record: &MachineRecord) -> Result<(), WriteError> {
        store.save_into(self.folder(), record)?;
        let target = store.machine(&record.name).directory;
        let failed = |source: io::Error| WriteError {
            path: target.clone(),
            source,
        };
        renameat2(
            AT_FDCWD,
            self.folder(),
            AT_FDCWD,
            &target,
            RenameFlags::RENAME_NOREPLACE,
        )
        .map_err(|errno| failed(errno.into()))?;
        // It has another name now, so that nothing is left to be removed.
        let _ = self.folder.keep();
        files::sync_directory(&self.machines).map_err(failed)
    }
}

/// Removes what was left by processes that were killed.
fn sweep(machines: &Path) {
    let left = fs::read_dir(machines).into_iter().flatten().flatten();
    for entry in left.filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX)) {
        let lock = File::open(entry.path())
            .ok()
            .and_then(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).ok());
        if lock.is_some() {
            // Best effort: it is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
