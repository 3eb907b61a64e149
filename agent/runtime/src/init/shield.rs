//! What of procfs and sysfs a container does not see or does not write, and kernel parameters that it sets.
//!
//! Each target is checked to be on the filesystem that it claims to be on, so that no image or volume can put
//! something else in its place and keep the original reachable.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use berth_agent_sys::mount::{
    FilesystemContext, attach, attribute, clone_mount_at, set_attributes,
};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{fstat, makedev};
use nix::sys::statfs::PROC_SUPER_MAGIC;
use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::namespaces::Namespaces;
use super::root::{Root, filesystem_of, is_directory, open_host};
use crate::failure::{AtStep as _, Failure, step};

/// Type number of sysfs.
const SYSFS_MAGIC: libc::c_long = 0x6265_6572;

/// Hides the masked paths of a specification and makes the read-only ones so.
pub(super) fn raise(root: &Root, spec: &Spec) -> Result<(), Failure> {
    let Some(linux) = spec.linux() else {
        return Ok(());
    };
    let readonly = linux.readonly_paths().iter().flatten();
    for path in readonly {
        if let Some(target) = find(root, Path::new(path))? {
            make_readonly(&target).at(step::SHIELD, || path)?;
        }
    }
    let mut masked = linux.masked_paths().iter().flatten().peekable();
    if masked.peek().is_none() {
        return Ok(());
    }
    let null = host_null()?;
    for path in masked {
        if let Some(target) = find(root, Path::new(path))? {
            mask(&target, &null).at(step::SHIELD, || path)?;
        }
    }
    Ok(())
}

/// Finds a path to shield; one that does not exist needs no shield.
fn find(root: &Root, path: &Path) -> Result<Option<OwnedFd>, Failure> {
    let what = || path.display().to_string();
    let target = match root.find(path, OFlag::O_PATH, ResolveFlag::empty()) {
        Ok(target) => target,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(e) => return Err(Failure::from_io(step::SHIELD, what(), &e.into())),
    };
    let kind = filesystem_of(&target).at(step::SHIELD, what)?;
    let is_honest = if path.starts_with("/proc") {
        kind == PROC_SUPER_MAGIC
    } else {
        !path.starts_with("/sys") || kind.0 == SYSFS_MAGIC
    };
    if is_honest {
        Ok(Some(target))
    } else {
        Err(Failure::new(
            step::SHIELD,
            format!("{}: not on the filesystem that belongs there", what()),
        ))
    }
}

fn make_readonly(target: &OwnedFd) -> io::Result<()> {
    let tree = clone_mount_at(target, true)?;
    set_attributes(tree.as_fd(), attribute::RDONLY, 0, None, true)?;
    attach(&tree, target)
}

fn mask(target: &OwnedFd, null: &OwnedFd) -> io::Result<()> {
    let cover = if is_directory(target)? {
        let context = FilesystemContext::open("tmpfs")?;
        context.set("size", c"0")?;
        context.set("nr_inodes", c"1").ok();
        context.mount(attribute::RDONLY)?
    } else {
        clone_mount_at(null, false)?
    };
    attach(&cover, target)
}

/// Opens the machine's `/dev/null` and makes sure that it is one.
fn host_null() -> Result<OwnedFd, Failure> {
    let null = open_host(Path::new("/dev/null")).at(step::SHIELD, || "/dev/null")?;
    let stat = fstat(&null).at(step::SHIELD, || "/dev/null")?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == makedev(1, 3) {
        Ok(null)
    } else {
        Err(Failure::new(
            step::SHIELD,
            "/dev/null of the machine is something else",
        ))
    }
}

/// Writes the kernel parameters of a specification, into the container's own namespaces.
///
/// They go through a procfs of their own that is attached nowhere: neither the image nor another container that changes
/// a shared volume meanwhile can put anything between a parameter's name and the parameter.
pub(super) fn set_parameters(spec: &Spec, namespaces: &Namespaces) -> Result<(), Failure> {
    let parameters = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.sysctl().as_ref())
        .filter(|parameters| !parameters.is_empty());
    let Some(parameters) = parameters else {
        return Ok(());
    };
    let procfs = private_procfs().at(step::SYSCTL, || "procfs")?;
    for (key, value) in parameters {
        let what = || format!("{key} to {value}");
        if !has_own(key, namespaces) {
            let message = format!("{key}: is the machine's, the container has none of its own");
            return Err(Failure::new(step::SYSCTL, message));
        }
        // Docker takes both spellings of the separator. No `..` survives this.
        let path = PathBuf::from("sys").join(key.replace('.', "/"));
        let file = open_in(&procfs, &path).at(step::SYSCTL, what)?;
        std::fs::File::from(file)
            .write_all(value.as_bytes())
            .at(step::SYSCTL, what)?;
    }
    Ok(())
}

/// Mounts a procfs that nobody else can reach.
pub(super) fn private_procfs() -> io::Result<OwnedFd> {
    let attributes = attribute::NOSUID | attribute::NODEV | attribute::NOEXEC;
    FilesystemContext::open("proc")?.mount(attributes)
}

/// Opens a file of procfs for writing, and nothing that a link or a mount shows in its place.
pub(super) fn open_in(procfs: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_WRONLY | OFlag::O_CLOEXEC)
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_XDEV
                | ResolveFlag::RESOLVE_NO_SYMLINKS,
        );
    openat2(procfs, path, how)
}

/// Returns whether a parameter is one of a namespace that the container does not have from the machine.
fn has_own(key: &str, namespaces: &Namespaces) -> bool {
    let key = key.replace('/', ".");
    let kind = match key.as_str() {
        "kernel.hostname" | "kernel.domainname" => LinuxNamespaceType::Uts,
        "kernel.msgmax"
        | "kernel.msgmnb"
        | "kernel.msgmni"
        | "kernel.sem"
        | "kernel.shmall"
        | "kernel.shmmax"
        | "kernel.shmmni"
        | "kernel.shm_rmid_forced" => LinuxNamespaceType::Ipc,
        key if key.starts_with("fs.mqueue.") => LinuxNamespaceType::Ipc,
        key if key.starts_with("net.") => LinuxNamespaceType::Network,
        _ => return false,
    };
    namespaces.has(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_file_itself_is_opened_in_a_private_procfs() {
        let procfs = private_procfs().unwrap();
        open_in(&procfs, Path::new("sys/kernel/core_pattern")).unwrap();
        for path in ["self/comm", "../proc/self/comm", "1/root/tmp"] {
            let error = open_in(&procfs, Path::new(path)).unwrap_err();
            assert!(
                matches!(error, Errno::ELOOP | Errno::EXDEV),
                "{path}: {error}"
            );
        }
    }
}
