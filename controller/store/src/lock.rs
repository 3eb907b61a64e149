//! Locks between processes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A lock that is held until it is dropped, or until the process ends in whatever way.
#[derive(Debug)]
pub struct StoreLock {
    file: Option<Flock<File>>,
    path: PathBuf,
    remove: bool,
}

/// A lock could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error("another berth process is working on {what}")]
    Busy {
        /// What the lock is for.
        what: String,
    },
    /// The file system refuses.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl StoreLock {
    /// Waits for the lock file at `path`.
    pub(crate) fn wait(path: &Path) -> Result<Self, LockError> {
        Self::acquire(path, FlockArg::LockExclusive, "")
    }

    /// Takes the lock file at `path`, or says that somebody else has it.
    pub(crate) fn attempt(path: &Path, what: &str) -> Result<Self, LockError> {
        Self::acquire(path, FlockArg::LockExclusiveNonblock, what)
    }

    /// Makes the lock's file go away with the lock, because what it protected is gone.
    pub fn retire(&mut self) {
        self.remove = true;
    }

    fn acquire(path: &Path, how: FlockArg, what: &str) -> Result<Self, LockError> {
        let failed = |source: io::Error| LockError::Io {
            path: path.to_owned(),
            source,
        };
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(path)
                .map_err(failed)?;
            let lock = match Flock::lock(file, how) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => {
                    return Err(LockError::Busy {
                        what: what.to_owned(),
                    });
                }
                Err((_, Errno::EINTR)) => continue,
                Err((_, errno)) => return Err(failed(errno.into())),
            };
            // The former holder may have retired the file while we waited for it: then this lock
            // protects nothing, and the file of that name (if any) is another one.
            let ours = lock.metadata().map_err(failed)?;
            match fs::metadata(path) {
                Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => {
                    return Ok(Self {
                        file: Some(lock),
                        path: path.to_owned(),
                        remove: false,
                    });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        if self.remove {
            // Best effort: an empty file that stays behind does no harm.
            let _ = fs::remove_file(&self.path);
        }
        self.file = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn second_holder_is_told_what_is_busy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = StoreLock::wait(&path).unwrap();
        let error = StoreLock::attempt(&path, "machine demo").unwrap_err();
        assert_eq!(
            error.to_string(),
            "another berth process is working on machine demo"
        );
        drop(held);
        StoreLock::attempt(&path, "machine demo").unwrap();
    }

    #[test]
    fn retired_locks_still_exclude_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let mut lock = StoreLock::wait(&path).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        lock.retire();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(!path.exists());
    }
}
