//! The file below the database: locked for one process, with disk space reserved ahead.
//!
//! The database cannot go on after a failed read or write of its file, since it no longer knows what
//! the file holds. The backend remembers such a failure and refuses all further use, so that the
//! file can be opened afresh by the same process while something still holds the old handle.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

/// Disk space kept in hand beyond the present length of the file.
///
/// Removing things is how a full disk is emptied, and it needs some database pages to be written.
const RESERVE: u64 = 2 * 1024 * 1024;

/// One use of the file, from one opening of the database to the next.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    file: Arc<File>,
    failed: Arc<AtomicBool>,
}

impl Backend {
    /// Opens or creates the file and takes its lock; `None` when another process holds the lock.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        if let Some(directory) = path.parent().filter(|parent| parent.as_os_str() != "") {
            File::open(directory)?.sync_all()?;
        }
        Ok(Some(Self {
            file: Arc::new(file),
            failed: Arc::default(),
        }))
    }

    /// Returns a fresh backend on the same file and retires this one.
    pub(crate) fn renew(&self) -> Self {
        self.failed.store(true, Ordering::Release);
        Self {
            file: Arc::clone(&self.file),
            failed: Arc::default(),
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn guard<T>(&self, operation: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        if self.has_failed() {
            return Err(io::Error::other("the file must be opened again"));
        }
        let result = operation(&self.file);
        if result.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        result
    }
}

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.guard(|file| Ok(file.metadata()?.len()))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.guard(|file| file.read_exact_at(out, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.guard(|file| {
            allocate(file, len)?;
            file.set_len(len)?;
            if let Err(error) = allocate(file, len.saturating_add(RESERVE)) {
                tracing::warn!(%error, "no disk space could be reserved for the state database");
            }
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.guard(File::sync_data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.guard(|file| file.write_all_at(data, offset))
    }
}

/// Gives the first `len` bytes their disk blocks without changing the file's length, so that a full
/// disk is met here, before anything is changed. A filesystem that cannot do it goes without.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    let len =
        i64::try_from(len).map_err(|_too_large| io::Error::from(io::ErrorKind::FileTooLarge))?;
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, len) {
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
