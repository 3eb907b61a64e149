//! The root filesystem: an overlay on this host's (or another one), with directories of its own.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use berth_provisioners_api::DriverError;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::disk::{Disk, OWN_DIRECTORIES};
use crate::failure::Doing as _;
use crate::plan::BootPlan;

/// Kinds of filesystem that hold a part of the host worth seeing, when it is not one with `/`.
const ON_DISK: [&str; 8] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs",
];

/// Places of this host of which a machine never sees anything.
const NEVER: [&str; 10] = [
    "/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/home", "/mnt", "/media", "/boot",
];

/// Puts the machine's root filesystem together and makes it the root of this process, which must
/// have mounts of its own.
pub(super) fn enter(plan: &BootPlan, disk: &Disk) -> Result<(), DriverError> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .doing(|| "cannot detach from the mounts of this host".to_owned())?;
    disk.empty_fleeting()
        .doing(|| "cannot empty temporary directories".to_owned())?;
    stack(plan, disk)?;
    let own = open_own_directories(disk)?;
    chdir(&disk.mount_point())
        .and_then(|()| pivot_root(".", "."))
        .and_then(|()| umount2(".", MntFlags::MNT_DETACH))
        .and_then(|()| chdir("/"))
        .doing(|| "cannot change the root".to_owned())?;
    for (place, tree) in own {
        put(&tree, place).doing(|| format!("cannot mount the machine's own {place}"))?;
    }
    hide(&plan.store_root)
}

/// Mounts the overlay, and further ones for the parts of this host that are mounts themselves.
fn stack(plan: &BootPlan, disk: &Disk) -> Result<(), DriverError> {
    let root = disk.mount_point();
    let lower = plan.rootfs.as_deref().unwrap_or_else(|| Path::new("/"));
    overlay(disk, "root", lower, &root)
        .doing(|| format!("cannot mount an overlay on {}", lower.display()))?;
    if plan.rootfs.is_some() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .doing(|| "cannot read the mounts of this host".to_owned())?;
    for place in parts_of_the_host(&mounts) {
        let Some(inside) = place.to_str().and_then(|place| place.strip_prefix('/')) else {
            continue;
        };
        let target = root.join(inside);
        if target.is_dir() && !disk.root().starts_with(&place) {
            overlay(disk, &inside.replace('/', "-"), &place, &target)
                .doing(|| format!("cannot mount an overlay on {}", place.display()))?;
        }
    }
    Ok(())
}

fn overlay(disk: &Disk, layer: &str, lower: &Path, target: &Path) -> io::Result<()> {
    let (upper, work) = disk.layer(layer)?;
    // Short relative names: the kernel takes one page of options, in which commas and colons in
    // a path would have a meaning.
    let base = upper.parent().unwrap_or(&upper).to_owned();
    let lower_name = PathBuf::from("lower");
    chdir(&base)?;
    let lower = if lower == Path::new("/") {
        lower
    } else {
        fs::create_dir_all(base.join(&lower_name))?;
        let none: Option<&str> = None;
        mount(Some(lower), &lower_name, none, MsFlags::MS_BIND, none)?;
        lower_name.as_path()
    };
    debug_assert!(work.starts_with(&base));
    let options = format!("lowerdir={},upperdir=upper,workdir=work", lower.display());
    mount(
        Some("berth-sandbox"),
        target,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )?;
    Ok(())
}

/// Returns the mount points, outermost first, of filesystems that belong to the host's system.
fn parts_of_the_host(mounts: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| {
            let (place, source) = line.split_once(" - ")?;
            let mut place = place.split(' ');
            let (root, place) = (place.nth(3)?, place.next()?);
            let kind = source.split(' ').next()?;
            let wanted = ON_DISK.contains(&kind) && root == "/" && place != "/";
            // Names with spaces come in octal; such a part of a system has not been seen.
            (wanted && !place.contains('\\')).then(|| PathBuf::from(place))
        })
        .filter(|place| !NEVER.iter().any(|never| place.starts_with(never)))
        .filter(|place| {
            !OWN_DIRECTORIES
                .iter()
                .any(|own| place.starts_with(own.place))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn open_own_directories(disk: &Disk) -> Result<Vec<(&'static str, OwnedFd)>, DriverError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    OWN_DIRECTORIES
        .iter()
        .map(|directory| {
            let path = disk.own_directory(*directory);
            open_tree(CWD, &path, flags)
                .map(|tree| (directory.place, tree))
                .doing(|| format!("cannot open {}", path.display()))
        })
        .collect()
}

/// Mounts `tree` at `place`; the root is the machine's by now, so no link leads out of it.
fn put(tree: &OwnedFd, place: &str) -> io::Result<()> {
    fs::create_dir_all(place)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(tree, "", CWD, place, flags)?;
    Ok(())
}

/// Hides the store, wherever it is.
fn hide(store: &Path) -> Result<(), DriverError> {
    if !store.is_dir() {
        return Ok(());
    }
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(
        Some("none"),
        store,
        Some("tmpfs"),
        flags,
        Some("size=4k,mode=700"),
    )
    .doing(|| format!("cannot hide the store {}", store.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separate_parts_of_the_system_are_found_and_others_are_not() {
        let mounts = "\
25 1 8:1 / / rw - ext4 /dev/sda1 rw
26 25 8:2 / /var rw - ext4 /dev/sda2 rw
27 25 8:3 / /usr ro - xfs /dev/sda3 ro
28 25 8:4 / /home rw - ext4 /dev/sda4 rw
29 25 0:5 / /proc rw - proc proc rw
30 25 8:2 /sub /srv rw - ext4 /dev/sda2 rw
31 26 8:5 / /var/lib/docker rw - ext4 /dev/sda5 rw
";
        assert_eq!(
            parts_of_the_host(mounts),
            [Path::new("/usr"), Path::new("/var")]
        );
    }
}
