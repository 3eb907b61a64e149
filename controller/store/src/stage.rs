//! Machines that are put together beside the others and appear whole, or not at all.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use tempfile::TempDir;

use crate::files::{self, write_private};
use crate::{LockError, MachineRecord, Store, StoreLock, WriteError};

/// Begins the names of folders that are not machines yet.
const PREFIX: &str = ".stage-";
/// Begins the names of their locks, which no machine can have.
const LOCK_PREFIX: &str = "_stage-";
/// The lock that is held for the moment in which a folder gets its own, or is swept away.
const TABLE: &str = "_stage";

/// A machine's folder before it has its name. It goes away unless it is committed, at the latest
/// when the next one is made.
#[derive(Debug)]
pub struct Staging {
    folder: TempDir,
    // Says to others that somebody is still at it. Not every file system locks folders, so it is a
    // file like the other locks; it goes after the folder.
    _lock: StoreLock,
    machines: PathBuf,
}

impl Staging {
    pub(crate) fn new(store: &Store) -> Result<Self, WriteError> {
        let machines = store.root().join("machines");
        let failed = |source| WriteError {
            path: machines.clone(),
            source,
        };
        // Else somebody's sweep could come between the making of a folder and its lock.
        let _table = StoreLock::wait(&store.lock_path(TABLE)).map_err(unlocked)?;
        sweep(store, &machines);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&machines)
            .map_err(failed)?;
        let mut lock =
            StoreLock::attempt(&lock_of(store, folder.path()), "staging").map_err(unlocked)?;
        lock.retire();
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

    /// Writes the record as it is known so far, so that a store that cannot be written is noticed
    /// before anything is changed elsewhere.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn prepare(&self, store: &Store, record: &MachineRecord) -> Result<(), WriteError> {
        store.save_into(self.folder(), record)
    }

    /// Writes the record and gives the folder the machine's name, under the machine's lock.
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
        rename_to_new(self.folder(), &target, RenameFlags::RENAME_NOREPLACE).map_err(failed)?;
        // It has another name now, so that nothing is left to be removed.
        let _ = self.folder.keep();
        files::sync_directory(&self.machines).map_err(failed)
    }
}

impl Staging {
    /// Removes a machine's folder by way of this one.
    pub(crate) fn take_away(self, directory: &Path) -> io::Result<()> {
        fs::rename(directory, self.folder().join("removed"))?;
        files::sync_directory(&self.machines)?;
        self.folder.close()
    }
}

/// Renames a folder to a name that nobody has. `exclusive` is what some file systems (NFS, FUSE)
/// do not know; there, the machine's lock keeps others away between the look and the rename.
fn rename_to_new(from: &Path, to: &Path, exclusive: RenameFlags) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, exclusive) {
        Ok(()) => return Ok(()),
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {}
        Err(errno) => return Err(errno.into()),
    }
    match fs::symlink_metadata(to) {
        Ok(_there) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
        Err(error) => Err(error),
    }
}

/// Removes what was left by processes that were killed, for the holder of the table's lock.
fn sweep(store: &Store, machines: &Path) {
    let names = |folder: &Path, prefix: &'static str| {
        let all = fs::read_dir(folder).into_iter().flatten().flatten();
        all.map(|entry| entry.path()).filter(move |path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(prefix)
        })
    };
    for folder in names(machines, PREFIX) {
        if let Ok(mut lock) = StoreLock::attempt(&lock_of(store, &folder), "staging") {
            // Best effort: it is in nobody's way.
            let _ = fs::remove_dir_all(folder);
            lock.retire();
        }
    }
    // Those whose folder became a machine.
    for path in names(&store.lock_path(""), LOCK_PREFIX) {
        if let Ok(mut lock) = StoreLock::attempt(&path, "staging") {
            lock.retire();
        }
    }
}

fn lock_of(store: &Store, folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mark = name.strip_prefix(PREFIX).unwrap_or(&name);
    store.lock_path(&format!("{LOCK_PREFIX}{mark}"))
}

fn unlocked(error: LockError) -> WriteError {
    match error {
        LockError::Io { path, source } => WriteError { path, source },
        LockError::Busy { what } => WriteError {
            path: what.into(),
            source: io::ErrorKind::WouldBlock.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn store() -> (TempDir, Store) {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        (root, store)
    }

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn folders_of_the_living_stay_and_those_of_the_dead_go() {
        let (root, store) = store();
        let machines = root.path().join("machines");
        let living = store.stage().unwrap();
        fs::create_dir(machines.join(".stage-dead")).unwrap();
        fs::write(root.path().join(".locks/_stage-gone"), "").unwrap();
        let other = store.stage().unwrap();
        assert!(living.folder().is_dir() && other.folder().is_dir());
        assert_eq!(count(&machines), 2);
        drop((living, other));
        assert_eq!(count(&machines), 0);
        let locks = fs::read_dir(root.path().join(".locks")).unwrap().flatten();
        let locks: Vec<_> = locks.map(|entry| entry.file_name()).collect();
        assert_eq!(locks, [TABLE]);
    }

    #[test]
    fn stagings_at_once_leave_each_other_alone() {
        let (root, _store) = store();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = Store::open(root.path()).unwrap();
                    for _ in 0..40 {
                        let staged = store.stage().unwrap();
                        staged.put("key.pem", b"key").unwrap();
                        assert!(staged.folder().join("key.pem").is_file());
                    }
                });
            }
        });
        assert_eq!(count(&root.path().join("machines")), 0);
    }

    #[test]
    fn file_system_without_exclusive_renames_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for folder in ["one", "two"] {
            fs::create_dir(path(folder)).unwrap();
            fs::write(path(folder).join("x"), folder).unwrap();
        }
        fs::create_dir(path("empty")).unwrap();
        // What no file system knows is refused as NOREPLACE is where it is not known.
        let unknown = RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE;
        for taken in ["two", "empty"] {
            let error = rename_to_new(&path("one"), &path(taken), unknown).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{taken}");
        }
        rename_to_new(&path("one"), &path("new"), unknown).unwrap();
        assert_eq!(fs::read_to_string(path("new/x")).unwrap(), "one");
        assert_eq!(fs::read_to_string(path("two/x")).unwrap(), "two");
    }
}
