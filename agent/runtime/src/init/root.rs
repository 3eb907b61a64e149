//! The container's root filesystem: mounting it, and finding paths in it without ever leaving it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use berth_agent_sys::mount::{Propagation, attach, clone_mount, set_attributes};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{chdir, chroot, fchdir, pivot_root};

use crate::failure::{AtStep as _, Failure, step};
use crate::request::Rootfs;

/// Longest chain of dangling links that [`Root::ensure`] follows.
const MAX_LINKS: usize = 40;

/// The root directory of a container. Every path is looked up as if it were the root of the machine: symbolic links
/// and `..` stay inside, and the magic links of procfs lead nowhere.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
}

/// What a missing path becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Directory,
    File,
}

impl Root {
    /// Opens a directory as the root.
    pub(super) fn open(path: &Path) -> nix::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        open(path, flags, Mode::empty()).map(|fd| Self { fd })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens what is at `path`.
    pub(super) fn find(
        &self,
        path: &Path,
        flags: OFlag,
        more: ResolveFlag,
    ) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | more);
        // The kernel gives up on `..` while anything is renamed anywhere, and wants to be asked again.
        for _ in 0..128 {
            match openat2(&self.fd, path, how) {
                Err(Errno::EAGAIN) => {}
                other => return other,
            }
        }
        Err(Errno::EAGAIN)
    }

    /// Finds the place of `path` and makes it, and the directories before it, if it is missing.
    pub(super) fn ensure(&self, path: &Path, kind: Kind) -> nix::Result<OwnedFd> {
        self.ensure_within(path, kind, MAX_LINKS)
    }

    fn ensure_within(&self, path: &Path, kind: Kind, links: usize) -> nix::Result<OwnedFd> {
        match self.find(path, OFlag::O_PATH, ResolveFlag::empty()) {
            Err(Errno::ENOENT) => {}
            other => return other,
        }
        let links = links.checked_sub(1).ok_or(Errno::ELOOP)?;
        let path = lexically_clean(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::ENOENT);
        };
        let directory = self.ensure_within(parent, Kind::Directory, links)?;
        let made = match kind {
            Kind::Directory => mkdirat(&directory, name, Mode::from_bits_truncate(0o755)),
            Kind::File => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                openat(&directory, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
            }
        };
        match made {
            // It exists now, or it is a link to nowhere, whose target is what is missing.
            Err(Errno::EEXIST) => {
                let link =
                    readlinkat(&directory, name).unwrap_or_else(|_| OsString::from_vec(Vec::new()));
                self.ensure_within(&parent.join(link), kind, links)
            }
            Err(e) => Err(e),
            Ok(()) => self.find(&path, OFlag::O_PATH, ResolveFlag::empty()),
        }
    }

    /// Makes this the root of the process and of its mount namespace, and gets rid of the old one.
    pub(super) fn pivot(self) -> Result<(), Failure> {
        fchdir(&self.fd).at(step::PIVOT, || "entering the new root")?;
        // With both at the same place the old root ends up on top of the new one, where it is taken off.
        pivot_root(".", ".").at(step::PIVOT, || "pivot_root")?;
        umount2(".", MntFlags::MNT_DETACH).at(step::PIVOT, || "letting go of the old root")?;
        chdir("/").at(step::PIVOT, || "/")
    }
}

impl Root {
    /// Does the same where the machine's root cannot be exchanged: the new root is moved over it. What remains below
    /// shows nothing of the kernel any more.
    pub(super) fn move_to_top(self) -> Result<(), Failure> {
        let own = self.device().at(step::PIVOT, || "the new root")?;
        let table = std::fs::read_to_string("/proc/self/mountinfo")
            .at(step::PIVOT, || "/proc/self/mountinfo")?;
        let kernels: Vec<PathBuf> = table.lines().rev().filter_map(kernel_mount).collect();
        for place in kernels {
            // One that is below the new root is the container's own, and stays.
            let mut ancestors = place.ancestors().filter_map(|path| Self::open(path).ok());
            if !ancestors.any(|path| path.device().is_ok_and(|device| device == own)) {
                umount2(&place, MntFlags::MNT_DETACH).at(step::PIVOT, || place.display())?;
            }
        }
        fchdir(&self.fd).at(step::PIVOT, || "entering the new root")?;
        mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)
            .at(step::PIVOT, || "moving the new root")?;
        chroot(".").at(step::PIVOT, || "chroot")?;
        chdir("/").at(step::PIVOT, || "/")
    }

    /// Returns what tells this directory from all others.
    fn device(&self) -> nix::Result<(u64, u64)> {
        fstat(&self.fd).map(|stat| (stat.st_dev, stat.st_ino))
    }
}

/// Returns where a line of the table of mounts has a filesystem of the kernel's.
fn kernel_mount(line: &str) -> Option<PathBuf> {
    let (place, filesystem) = line.split_once(" - ")?;
    let kind = filesystem.split(' ').next()?;
    let place = place.split(' ').nth(4)?;
    matches!(kind, "proc" | "sysfs").then(|| PathBuf::from(place.replace("\\040", " ")))
}

/// Resolves `.` and `..` as text, as Docker does with the paths of mounts.
fn lexically_clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Mounts the root filesystem over `place`, visible in this mount namespace only, and opens it.
pub(crate) fn mount_root(rootfs: &Rootfs, place: &Path) -> Result<PathBuf, Failure> {
    // What the machine unmounts is unmounted here too, and nothing that is mounted here is seen there.
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        None::<&str>,
    )
    .at(step::ROOT, || "making mounts private")?;
    match rootfs {
        Rootfs::Directory(directory) => bind_root(directory, place)?,
        Rootfs::Overlay { lower, upper, .. } if lower.is_empty() => bind_root(upper, place)?,
        Rootfs::Overlay { lower, upper, work } => overlay(lower, upper, work, place)?,
    }
    Ok(place.to_owned())
}

fn bind_root(directory: &Path, place: &Path) -> Result<(), Failure> {
    let what = || directory.display().to_string();
    let tree = clone_mount(directory, true).at(step::ROOT, what)?;
    set_attributes(tree.as_fd(), 0, 0, Some(Propagation::Private), true).at(step::ROOT, what)?;
    let target = Root::open(place).at(step::ROOT, || place.display().to_string())?;
    attach(tree, target.fd()).at(step::ROOT, what)
}

/// Stacks layers. They are named to the kernel by descriptors, since a page of options has no room for many paths and
/// no way to write every character.
fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, place: &Path) -> Result<(), Failure> {
    let open_layer =
        |path: &PathBuf| Root::open(path).at(step::ROOT, || path.display().to_string());
    let layers = lower
        .iter()
        .map(open_layer)
        .collect::<Result<Vec<_>, _>>()?;
    let (upper, work) = (
        open_layer(&upper.to_owned())?,
        open_layer(&work.to_owned())?,
    );
    let mut options = String::from("lowerdir=");
    for (index, layer) in layers.iter().enumerate() {
        let separator = if index == 0 { "" } else { ":" };
        options.push_str(separator);
        options.push_str(&layer.fd().as_raw_fd().to_string());
    }
    let (upper_fd, work_fd) = (upper.fd().as_raw_fd(), work.fd().as_raw_fd());
    options.push_str(&format!(",upperdir={upper_fd},workdir={work_fd}"));
    // Whatever the kernel's defaults: what is written must be whole files that a commit can read.
    options.push_str(",redirect_dir=off,metacopy=off,index=off");
    chdir("/proc/self/fd").at(step::ROOT, || "/proc/self/fd")?;
    let mounted = mount(
        Some("overlay"),
        place,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    );
    chdir("/").at(step::ROOT, || "/")?;
    mounted.at(step::ROOT, || format!("stacking {} layers", layers.len()))?;
    mount(
        None::<&str>,
        place,
        None::<&str>,
        MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .at(step::ROOT, || "making the root private")
}

/// Returns the type of the filesystem that a descriptor is on.
pub(super) fn filesystem_of(fd: impl AsFd) -> io::Result<nix::sys::statfs::FsType> {
    Ok(nix::sys::statfs::fstatfs(fd)?.filesystem_type())
}

/// Returns whether the descriptor is a directory.
pub(super) fn is_directory(fd: impl AsFd) -> nix::Result<bool> {
    fstat(fd).map(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Opens a path of the machine, following links, without access to its contents.
pub(super) fn open_host(path: &Path) -> nix::Result<OwnedFd> {
    openat(
        AT_FDCWD,
        path,
        OFlag::O_PATH | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        let root = Root::open(&dir.path().join("root")).unwrap();
        (dir, root)
    }

    #[test]
    fn links_that_point_outside_are_made_good_inside() {
        let (dir, root) = root();
        symlink(dir.path().join("outside"), dir.path().join("root/absolute")).unwrap();
        symlink("../outside", dir.path().join("root/relative")).unwrap();
        root.ensure(Path::new("/absolute/a"), Kind::Directory)
            .unwrap();
        root.ensure(Path::new("/relative/b"), Kind::File).unwrap();
        assert_eq!(
            std::fs::read_dir(dir.path().join("outside"))
                .unwrap()
                .count(),
            0
        );
        assert!(dir.path().join("root/outside/b").is_file());
    }

    #[test]
    fn parents_of_the_root_are_the_root() {
        let (dir, root) = root();
        root.ensure(Path::new("/../../outside/x"), Kind::Directory)
            .unwrap();
        assert!(dir.path().join("root/outside/x").is_dir());
    }

    #[test]
    fn magic_links_lead_nowhere() {
        let (dir, root) = root();
        symlink("/proc/self/cwd", dir.path().join("root/cwd")).unwrap();
        root.ensure(Path::new("/cwd/x"), Kind::Directory).unwrap();
        assert!(dir.path().join("root/proc/self/cwd/x").is_dir());
    }

    #[test]
    fn links_in_a_circle_are_an_error() {
        let (dir, root) = root();
        symlink("/b", dir.path().join("root/a")).unwrap();
        symlink("/a", dir.path().join("root/b")).unwrap();
        assert_eq!(
            root.ensure(Path::new("/a"), Kind::File).unwrap_err(),
            Errno::ELOOP
        );
    }
}
