//! Network namespaces, kept alive by a file each.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// The directory of the namespaces' files.
#[derive(Debug, Clone)]
pub(crate) struct Namespaces {
    directory: PathBuf,
}

/// The namespace of the calling thread, which is not always that of its process.
const OWN: &str = "/proc/thread-self/ns/net";

// === impl Namespaces ===

impl Namespaces {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)?;
        Ok(Self { directory })
    }

    pub(crate) fn path(&self, id: &str) -> PathBuf {
        self.directory.join(id)
    }

    /// Moves the calling thread into a new namespace that lasts as long as its file, and returns the
    /// namespace. The thread must end soon, since nothing takes it back.
    pub(crate) fn enter_new(&self, id: &str) -> io::Result<File> {
        let path = self.path(id);
        // A file that nobody remembers is what an agent left that was killed.
        self.remove(id)?;
        File::create_new(&path)?;
        let entered = unshare(CloneFlags::CLONE_NEWNET)
            .and_then(|()| {
                mount(
                    Some(OWN),
                    &path,
                    None::<&str>,
                    MsFlags::MS_BIND,
                    None::<&str>,
                )
            })
            .map_err(io::Error::from)
            .and_then(|()| File::open(OWN));
        if entered.is_err() {
            self.remove(id)?;
        }
        entered
    }

    /// Moves the calling thread into a namespace, and returns it. The thread must end soon.
    pub(crate) fn enter(&self, id: &str) -> io::Result<File> {
        let namespace = File::open(self.path(id))?;
        setns(&namespace, CloneFlags::CLONE_NEWNET)?;
        Ok(namespace)
    }

    /// Removes the file; the kernel ends the namespace, with its interfaces, when its last process
    /// has. That there is no such file is fine.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        let path = self.path(id);
        match umount2(&path, MntFlags::MNT_DETACH) {
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the ids of all namespaces that have files.
    pub(crate) fn list(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

/// Sets a kernel parameter of the calling thread's namespace, by its path below `/proc/sys/net`.
pub(crate) fn set_parameter(name: &str, value: &str) -> io::Result<()> {
    let path = Path::new("/proc/sys/net").join(name);
    // Where the file cannot be written the value is often right already.
    if std::fs::read_to_string(&path)?.trim() == value {
        return Ok(());
    }
    std::fs::write(&path, value)
}
