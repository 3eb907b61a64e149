//! How far an agent has come, told by what changes in its folders: a measure of time that stretches
//! with the load of the machine, so that a test can cut the work at any of its steps.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Folders with more below them than this are contents of images and containers, not steps.
const DEPTH: usize = 3;
/// How long the watcher needs at most to notice that it is to end.
const LOOKS_UP_AFTER_MS: u16 = 50;

/// Watches folders from a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Progress {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    steps: u64,
    names: BTreeSet<String>,
    over: bool,
}

struct Watcher {
    inotify: OwnedFd,
    folders: HashMap<i32, (PathBuf, usize)>,
}

// === impl Progress ===

impl Progress {
    /// Begins to watch folders and what is below them; each of them exists.
    ///
    /// # Panics
    ///
    /// When the kernel gives no watches.
    #[must_use]
    pub fn watch(folders: &[PathBuf]) -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("inotify");
        let mut watcher = Watcher {
            inotify,
            folders: HashMap::new(),
        };
        for folder in folders {
            watcher.add(folder, 0);
        }
        assert!(
            !watcher.folders.is_empty(),
            "nothing to watch in {folders:?}"
        );
        let shared = Arc::<Shared>::default();
        let watching = Arc::clone(&shared);
        let thread = std::thread::spawn(move || watcher.run(&watching));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Returns how many steps there were so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.shared.seen().steps
    }

    /// Waits until there were so many steps; returns whether they came in time.
    #[must_use]
    pub fn wait_for(&self, steps: u64, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut seen = self.shared.seen();
        while seen.steps < steps {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self.shared.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Returns every name of a file or folder that appeared.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.shared.seen().names.clone()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.seen().over = true;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

// === impl Shared ===

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Watcher ===

impl Watcher {
    fn run(&mut self, shared: &Shared) {
        while !shared.seen().over {
            let mut descriptors = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
            // A signal only makes this look sooner.
            let _ = poll(&mut descriptors, LOOKS_UP_AFTER_MS);
            self.read(shared);
        }
    }

    fn read(&mut self, shared: &Shared) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut appeared = Vec::new();
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_nothing_more) => break,
            };
            let Some(name) = event.file_name() else {
                continue;
            };
            // Logs grow without the agent.
            if event.events().contains(ReadFlags::MODIFY) && !name.to_bytes().ends_with(b".redb") {
                continue;
            }
            let mut seen = shared.seen();
            seen.steps += 1;
            shared.changed.notify_all();
            if event
                .events()
                .intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO)
            {
                seen.names.insert(name.to_string_lossy().into_owned());
                if event.events().contains(ReadFlags::ISDIR) {
                    let name = OsStr::from_bytes(name.to_bytes()).to_owned();
                    appeared.push((event.wd(), name));
                }
            }
        }
        for (parent, name) in appeared {
            if let Some((folder, depth)) = self.folders.get(&parent).cloned() {
                self.add(&folder.join(name), depth + 1);
            }
        }
    }

    /// Watches a folder and those below it. One that is gone again is no step that could be cut.
    fn add(&mut self, folder: &Path, depth: usize) {
        let events = WatchFlags::CREATE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ONLYDIR;
        let Ok(descriptor) = inotify::add_watch(&self.inotify, folder, events) else {
            return;
        };
        self.folders.insert(descriptor, (folder.to_owned(), depth));
        if depth == DEPTH {
            return;
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path(), depth + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_below_a_folder_is_a_step() {
        let folder = tempfile::tempdir().expect("folder");
        let progress = Progress::watch(&[folder.path().to_owned()]);
        fs::create_dir(folder.path().join("a")).expect("folder");
        assert!(progress.wait_for(1, Duration::from_secs(10)));
        let deep = folder.path().join("a/deep");
        // The new folder is watched from a moment on that comes soon.
        crate::wait_until("a step inside", || {
            fs::write(&deep, "x").expect("file");
            progress.names().contains("deep")
        });
        assert!(progress.steps() >= 2);
        assert!(!progress.wait_for(1 << 40, Duration::from_millis(1)));
    }
}
