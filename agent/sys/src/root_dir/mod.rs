//! Directories that hold somebody else's tree, worked on without ever leaving it.
//!
//! A [`RootDir`] resolves paths as if it were `/` for them (`openat2` with `RESOLVE_IN_ROOT` and
//! `RESOLVE_NO_MAGICLINKS`), so that absolute links and `..` in a container's or an image's tree
//! stay inside, also while somebody changes the tree. What a path leads to is a [`Directory`], whose
//! operations take one name each and never follow a symbolic link.
//!
//! Reading and writing of extended attributes goes through `/proc/self/fd`, which must be mounted.

mod attributes;
mod directory;
mod metadata;
mod mount_point;
mod remove;
mod xattr;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

pub use attributes::{Attributes, NodeKind};
pub use directory::Directory;

/// The root of a tree in which paths are resolved.
#[derive(Debug)]
pub struct RootDir {
    fd: OwnedFd,
}

impl RootDir {
    /// Opens the directory at `path`, which is trusted and may contain links.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist or is no directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            fd: nix::fcntl::open(path, flags, Mode::empty())?,
        })
    }

    /// Takes over an open directory.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Returns a name of the root that is valid in this process while the value lives.
    #[must_use]
    pub fn proc_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// Returns the root itself as a directory to work in.
    ///
    /// # Errors
    ///
    /// Fails when the process is out of file descriptors.
    pub fn root(&self) -> io::Result<Directory> {
        self.open_dir(Path::new("."))
    }

    /// Opens the directory that `path` leads to; links are followed inside the root.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist or is no directory.
    pub fn open_dir(&self, path: &Path) -> io::Result<Directory> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Directory::from_fd(self.resolve(path, flags)?))
    }

    /// Opens the directory in which the last component of `path` lies, and returns that component.
    ///
    /// # Errors
    ///
    /// Fails when the directory does not exist, or with `InvalidInput` when the path ends in `..`
    /// or names the root.
    pub fn open_parent(&self, path: &Path) -> io::Result<(Directory, OsString)> {
        let (parent, name) = split(path)?;
        Ok((self.open_dir(parent)?, name.to_owned()))
    }

    /// Opens the file that `path` leads to for reading; links are followed inside the root.
    ///
    /// Opening does not wait for the other end of a fifo.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist.
    pub fn open_file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(File::from(self.resolve(path, flags)?))
    }

    /// Opens what `path` leads to without any access to its content (`O_PATH`).
    ///
    /// # Errors
    ///
    /// Fails when it does not exist.
    pub fn locate(&self, path: &Path) -> io::Result<OwnedFd> {
        self.resolve(path, OFlag::O_PATH | OFlag::O_CLOEXEC)
    }

    /// Returns the attributes of what `path` leads to, links followed inside the root.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist.
    pub fn metadata(&self, path: &Path) -> io::Result<Attributes> {
        let fd = self.locate(path)?;
        Ok(Attributes::from(nix::sys::stat::fstat(fd)?))
    }

    /// Returns the attributes of `path` itself; a link in the last place is not followed.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist.
    pub fn symlink_metadata(&self, path: &Path) -> io::Result<Attributes> {
        match split(path) {
            Ok((parent, name)) => self.open_dir(parent)?.attributes(name),
            Err(_names_a_directory) => self.metadata(path),
        }
    }

    /// Opens a directory, making it and its parents with `mode` (less the umask) where missing.
    ///
    /// # Errors
    ///
    /// Fails when something on the way is no directory, or a dangling link.
    pub fn create_dir_all(&self, path: &Path, mode: u32) -> io::Result<Directory> {
        self.create_dir_all_with(path, mode, &mut |_made| Ok(()))
    }

    /// Does as [`RootDir::create_dir_all`] and shows each new directory to `made`.
    ///
    /// # Errors
    ///
    /// Fails as [`RootDir::create_dir_all`], or with what `made` returns.
    pub fn create_dir_all_with(
        &self,
        path: &Path,
        mode: u32,
        made: &mut dyn FnMut(&Directory) -> io::Result<()>,
    ) -> io::Result<Directory> {
        match self.open_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let mut at = PathBuf::new();
        let mut directory = self.root()?;
        for component in path.components() {
            at.push(component);
            directory = match self.open_dir(&at) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let Component::Normal(name) = component else {
                        return Err(error);
                    };
                    // A dangling link makes this fail, as it would for mkdir(1).
                    directory.make_dir(name, mode)?;
                    let new = directory.open_dir(name)?;
                    made(&new)?;
                    new
                }
                found => found?,
            };
        }
        Ok(directory)
    }

    fn resolve(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        // The kernel asks for another try when a directory was renamed during the resolution.
        for _attempt in 0..RESOLVE_ATTEMPTS {
            match openat2(&self.fd, path, how) {
                Err(Errno::EAGAIN) => {}
                result => return Ok(result?),
            }
        }
        Err(Errno::EAGAIN.into())
    }
}

/// How often a resolution that races with renames is tried again before that is reported.
const RESOLVE_ATTEMPTS: usize = 64;

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Splits off the last component, byte-wise so that `a/..` and `a/.` are not taken for names.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let mut bytes = path.as_os_str().as_bytes();
    while let [rest @ .., b'/'] = bytes {
        bytes = rest;
    }
    let (parent, name) = match bytes.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
        None => (&bytes[..0], bytes),
    };
    if matches!(name, b"" | b"." | b"..") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path does not end in a name",
        ));
    }
    Ok((
        Path::new(OsStr::from_bytes(parent)),
        OsStr::from_bytes(name),
    ))
}

#[cfg(test)]
mod tests;
