//! The way through a tree that its owner may change meanwhile, and may have made as deep as he likes.
//!
//! The folders that the walk is in are held open, so that no rename leads it elsewhere; but only the
//! nearest ones, for descriptors are the whole agent's. One further up is opened again by its path when
//! the walk is back there, and left if that is another folder by then.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use berth_agent_sys::root_dir::{Directory, RootDir};
use nix::errno::Errno;

/// How many folders are held open.
pub(super) const MAX_OPEN: usize = 64;

/// The longest path that Linux takes: who unpacks the archive could not make more, and what is noted
/// of a file is no longer.
const LONGEST_PATH: usize = 4096;

/// A walk. It is at one name after the other.
#[derive(Debug)]
pub(super) struct Walk {
    top: RootDir,
    /// The name that the walk is at.
    path: Vec<u8>,
    /// How much of the path stands before the names in the tree.
    n_prefix: usize,
    frames: Vec<Frame>,
}

/// A folder that the walk is in.
#[derive(Debug)]
struct Frame {
    directory: Option<Directory>,
    identity: (u64, u64),
    names: std::vec::IntoIter<OsString>,
    /// How long the path of the folder is, with its slash.
    length: usize,
}

impl Walk {
    /// Begins in a folder whose path is `prefix`: empty, or with a slash at its end.
    pub(super) fn new(directory: Directory, prefix: &[u8]) -> io::Result<Self> {
        let mut walk = Self {
            top: RootDir::from_fd(directory.as_fd().try_clone_to_owned()?),
            path: prefix.to_vec(),
            n_prefix: prefix.len(),
            frames: Vec::new(),
        };
        walk.enter(directory)?;
        Ok(walk)
    }

    /// Returns the path of what the walk is at.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Goes to the next name and returns it; nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<OsString>> {
        while let Some(frame) = self.frames.last_mut() {
            let Some(name) = frame.names.next() else {
                self.frames.pop();
                continue;
            };
            self.path.truncate(frame.length);
            if frame.directory.is_none() {
                let below = Path::new(OsStr::from_bytes(&self.path[self.n_prefix..]));
                let Some(directory) = reopen(&self.top, below, frame.identity)? else {
                    tracing::warn!(path = %below.display(), "a folder was moved while it was read");
                    self.frames.pop();
                    continue;
                };
                frame.directory = Some(directory);
            }
            self.path.extend_from_slice(name.as_bytes());
            if self.path.len() > LONGEST_PATH {
                return Err(Errno::ENAMETOOLONG.into());
            }
            return Ok(Some(name));
        }
        Ok(None)
    }

    /// Returns the folder that the walk is in, its file system, and the path, to which may be added.
    pub(super) fn at(&mut self) -> Option<(&Directory, u64, &mut Vec<u8>)> {
        let frame = self.frames.last()?;
        let directory = frame.directory.as_ref()?;
        Some((directory, frame.identity.0, &mut self.path))
    }

    /// Goes on in a folder that has the present path, which ends in a slash.
    pub(super) fn enter(&mut self, directory: Directory) -> io::Result<()> {
        let identity = directory.own_attributes()?.identity;
        let names = directory.names()?.into_iter();
        self.frames.push(Frame {
            directory: Some(directory),
            identity,
            names,
            length: self.path.len(),
        });
        if let Some(far) = self.frames.len().checked_sub(MAX_OPEN + 1) {
            self.frames[far].directory = None;
        }
        Ok(())
    }
}

/// Opens a folder again; nothing when another one, or none, is there by now.
fn reopen(top: &RootDir, path: &Path, identity: (u64, u64)) -> io::Result<Option<Directory>> {
    match top.open_dir(path) {
        Ok(directory) => {
            let is_same = directory.own_attributes()?.identity == identity;
            Ok(is_same.then_some(directory))
        }
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Everything below a folder, as a walk finds it; `at` is called at each name.
    fn walked(folder: &Path, mut at: impl FnMut(&[u8])) -> io::Result<Vec<String>> {
        let top = RootDir::open(folder).and_then(|root| root.root())?;
        let mut walk = Walk::new(top, b"t/")?;
        let mut found = Vec::new();
        while let Some(name) = walk.next()? {
            at(walk.path());
            found.push(String::from_utf8_lossy(walk.path()).into_owned());
            let (directory, _, path) = walk.at().expect("a folder");
            if let Ok(child) = directory.open_dir(&name) {
                path.push(b'/');
                walk.enter(child)?;
            }
        }
        Ok(found)
    }

    fn open_below(folder: &Path) -> usize {
        let own = fs::read_dir("/proc/self/fd").expect("descriptors");
        own.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target.starts_with(folder))
            .count()
    }

    /// A chain of `depth` folders called `name`, each with a file that comes after the next one.
    fn chain(top: &Path, name: &str, depth: usize) {
        let mut at = RootDir::open(top)
            .and_then(|root| root.root())
            .expect("top");
        for _level in 0..depth {
            at.create_file(OsStr::new("z"), 0o600).expect("file");
            at.make_dir(OsStr::new(name), 0o700).expect("folder");
            at = at.open_dir(OsStr::new(name)).expect("folder");
        }
    }

    #[test]
    fn a_deep_tree_is_walked_with_few_folders_open() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let depth = 10 * MAX_OPEN;
        chain(temp.path(), "d", depth);
        let mut most = 0;
        let found = walked(temp.path(), |_| most = most.max(open_below(temp.path())));
        assert_eq!(found.expect("walked").len(), 2 * depth);
        assert!((MAX_OPEN..MAX_OPEN + 4).contains(&most), "{most} open");
    }

    #[test]
    fn what_has_no_path_is_an_error() {
        let temp = tempfile::tempdir().expect("temporary directory");
        chain(temp.path(), &"n".repeat(250), 20);
        let error = walked(temp.path(), |_| {}).expect_err("too long");
        assert_eq!(error.raw_os_error(), Some(Errno::ENAMETOOLONG as i32));
    }

    #[test]
    fn a_folder_that_was_replaced_by_another_one_is_left() {
        let temp = tempfile::tempdir().expect("temporary directory");
        chain(temp.path(), "d", 2 * MAX_OPEN);
        fs::create_dir(temp.path().join("other")).expect("folder");
        fs::write(temp.path().join("other/z"), "").expect("file");
        let deepest = "d/".repeat(2 * MAX_OPEN);
        let found = walked(temp.path(), |path| {
            if path == format!("t/{}", deepest.trim_end_matches('/')).as_bytes() {
                fs::rename(temp.path().join("d"), temp.path().join("moved")).expect("rename");
                std::os::unix::fs::symlink("other", temp.path().join("d")).expect("link");
            }
        });
        let found = found.expect("walked");
        // The nearest are still open, the others gone; what took their place is not taken for them.
        let n_files = found.iter().filter(|path| path.ends_with("/z")).count();
        assert!(
            (MAX_OPEN - 1..=MAX_OPEN + 1).contains(&n_files),
            "{n_files}"
        );
        assert!(!found.contains(&"t/d/z".to_owned()), "{found:?}");
    }
}
