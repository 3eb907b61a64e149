//! Looks into containers' filesystems, which are hostile: names are resolved inside the root, and
//! only regular files of modest size are read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use berth_agent_snapshots::{LayerId, SnapshotError, Snapshotter};
use berth_agent_sys::root_dir::RootDir;

use crate::create::user::{self, ResolvedUser, UserError};

/// Longest `/etc/passwd` that is read; longer ones are cut, not refused.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// How many answers about images are kept.
const REMEMBERED: usize = 64;

/// Answers who a user of an image is, from memory when it was asked before: layers never change.
#[derive(Debug, Default)]
pub(crate) struct UserLookup {
    known: Mutex<HashMap<(Vec<LayerId>, UserQuery), ResolvedUser>>,
}

/// Who a process shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct UserQuery {
    /// `user[:group]`; empty: root.
    pub(crate) user: String,
    /// Further groups, names or numbers.
    pub(crate) groups: Vec<String>,
}

/// The user of a container cannot be found out.
#[derive(Debug, thiserror::Error)]
pub enum UserLookupError {
    /// It does not exist.
    #[error(transparent)]
    Unknown(#[from] UserError),
    /// The image cannot be looked into.
    #[error("looking up user {user} in the image")]
    Snapshot {
        /// The user as asked for.
        user: String,
        /// What failed.
        #[source]
        source: SnapshotError,
    },
}

impl UserLookup {
    /// Finds out who is meant in an image that nothing was written over.
    pub(crate) fn in_layers(
        &self,
        snapshots: &dyn Snapshotter,
        layers: &[LayerId],
        query: &UserQuery,
    ) -> Result<ResolvedUser, UserLookupError> {
        let key = (layers.to_vec(), query.clone());
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        let resolved = if layers.is_empty() {
            user::resolve(&query.user, &query.groups, "", "")?
        } else {
            let mounted =
                snapshots
                    .mount_layers(layers)
                    .map_err(|source| UserLookupError::Snapshot {
                        user: query.user.clone(),
                        source,
                    })?;
            in_root(mounted.root(), query)?
        };
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, resolved.clone());
        Ok(resolved)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Vec<LayerId>, UserQuery), ResolvedUser>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds out who is meant with the files below `root`.
pub(crate) fn in_root(root: &RootDir, query: &UserQuery) -> Result<ResolvedUser, UserError> {
    let passwd = read_text(root, Path::new("etc/passwd")).unwrap_or_default();
    let group = read_text(root, Path::new("etc/group")).unwrap_or_default();
    user::resolve(&query.user, &query.groups, &passwd, &group)
}

/// Reads a regular file below `root` as text; what is no UTF-8 is replaced.
fn read_text(root: &RootDir, path: &Path) -> io::Result<String> {
    // Found without opening: opening a device or a fifo that an image put there could do harm.
    let found = root.locate(path)?;
    let kind = nix::sys::stat::fstat(&found)?.st_mode & nix::libc::S_IFMT;
    if kind != nix::libc::S_IFREG {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn query(user: &str) -> UserQuery {
        UserQuery {
            user: user.to_owned(),
            groups: Vec::new(),
        }
    }

    #[test]
    fn a_link_out_of_the_root_reads_nothing_of_the_machine() {
        let folder = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(folder.path().join("etc")).expect("folder");
        symlink("/etc/passwd", folder.path().join("etc/passwd")).expect("link");
        symlink("../../../../etc/group", folder.path().join("etc/group")).expect("link");
        let root = RootDir::open(folder.path()).expect("root");
        read_text(&root, Path::new("etc/passwd")).expect_err("nothing inside");
        read_text(&root, Path::new("etc/group")).expect_err("nothing inside");
        assert_eq!(
            in_root(&root, &query("daemon")),
            Err(UserError::User("daemon".to_owned()))
        );
    }

    #[test]
    fn a_fifo_in_place_of_a_file_does_not_block() {
        let folder = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(folder.path().join("etc")).expect("folder");
        nix::unistd::mkfifo(
            &folder.path().join("etc/passwd"),
            nix::sys::stat::Mode::S_IRWXU,
        )
        .expect("fifo");
        let root = RootDir::open(folder.path()).expect("root");
        in_root(&root, &query("")).expect("root needs no file");
    }
}
