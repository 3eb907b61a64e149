//! The kernel's filesystems: `/proc`, `/sys`, the control groups, and an empty `/run`.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use berth_provisioners_api::DriverError;
use nix::mount::{MsFlags, mount as mount_call};

use crate::cgroups::Hierarchy;
use crate::failure::Doing as _;
use crate::init::Guest;
use crate::init::devices::mount_at;

const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Mounts them all.
pub(super) fn mount(hierarchies: &[Hierarchy], guest: Guest) -> Result<(), DriverError> {
    let doing = || "cannot mount the kernel's filesystems".to_owned();
    mount_kernel().doing(doing)?;
    mount_control_groups(hierarchies).doing(|| "cannot mount control groups".to_owned())?;
    if guest == Guest::Unknown {
        close_settings().doing(doing)?;
    }
    name_boot().doing(doing)?;
    leave_the_root_group(hierarchies).doing(|| "cannot leave the root control group".to_owned())
}

fn mount_kernel() -> io::Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_at("/proc", "proc", quiet, "")?;
    mount_at("/sys", "sysfs", quiet, "")?;
    // One letter written there restarts the host.
    let trigger = "/proc/sysrq-trigger";
    if Path::new(trigger).exists() {
        bind(trigger, trigger)?;
        make_read_only(trigger, MsFlags::empty())?;
    }
    mount_at(
        "/run",
        "tmpfs",
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        "mode=755",
    )?;
    for (directory, mode) in [("/run/lock", 0o1777), ("/run/sshd", 0o755)] {
        fs::create_dir(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn bind(source: &str, place: &str) -> io::Result<()> {
    let none: Option<&str> = None;
    mount_call(Some(source), place, none, MsFlags::MS_BIND, none)?;
    Ok(())
}

/// Makes one mount read-only, but neither the filesystem that is seen there nor mounts below it.
fn make_read_only(place: &str, others: MsFlags) -> io::Result<()> {
    let none: Option<&str> = None;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | others;
    mount_call(none, place, none, flags, none)?;
    Ok(())
}

/// Leaves those of the kernel's settings writable that a machine has for itself: a distribution
/// that boots sets what it thinks is best for a whole computer, and handles devices where it can
/// write to `/sys`.
fn close_settings() -> io::Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let (all, own) = ("/proc/sys", "/proc/sys/net");
    bind(all, all)?;
    bind(own, own)?;
    make_read_only(all, quiet)?;
    make_read_only("/sys", quiet)
}

/// Gives this boot a name of its own, by which others see that the machine was restarted.
fn name_boot() -> io::Result<()> {
    let (source, place) = ("/run/boot_id", "/proc/sys/kernel/random/boot_id");
    fs::write(source, fs::read("/proc/sys/kernel/random/uuid")?)?;
    fs::set_permissions(source, fs::Permissions::from_mode(0o444))?;
    bind(source, place)?;
    fs::remove_file(source)
}

/// Mounts the hierarchies of the host, in whose place the machine sees only its own part.
fn mount_control_groups(hierarchies: &[Hierarchy]) -> io::Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if hierarchies.iter().all(Hierarchy::is_unified) {
        return mount_at(CONTROL_GROUPS, "cgroup2", quiet, "");
    }
    mount_at(CONTROL_GROUPS, "tmpfs", quiet, "mode=755")?;
    for hierarchy in hierarchies {
        let place = place_inside(hierarchy);
        let place_text = place.to_string_lossy();
        if hierarchy.is_unified() {
            mount_at(&place_text, "cgroup2", quiet, "")?;
            continue;
        }
        mount_at(&place_text, "cgroup", quiet, &hierarchy.mount_option())?;
        for controller in hierarchy.controllers() {
            let link = Path::new(CONTROL_GROUPS).join(controller);
            if let Some(name) = place.file_name()
                && !controller.contains('=')
                && !link.exists()
            {
                symlink(name, link)?;
            }
        }
    }
    Ok(())
}

/// Returns where a hierarchy of the host is in the machine.
pub(super) fn place_inside(hierarchy: &Hierarchy) -> PathBuf {
    let host = hierarchy.root();
    if host.starts_with(CONTROL_GROUPS) && host != Path::new(CONTROL_GROUPS) {
        return host.to_owned();
    }
    let name = hierarchy.controllers().join(",").replace("name=", "");
    let name = if hierarchy.is_unified() {
        "unified".to_owned()
    } else {
        name
    };
    Path::new(CONTROL_GROUPS).join(name)
}

/// Moves this process to a group of its own: in the second version, a group with processes cannot
/// give controllers to its children, so an engine inside could not use any.
fn leave_the_root_group(hierarchies: &[Hierarchy]) -> io::Result<()> {
    let only_unified = hierarchies.iter().all(Hierarchy::is_unified);
    for hierarchy in hierarchies
        .iter()
        .filter(|hierarchy| hierarchy.is_unified())
    {
        let root = if only_unified {
            PathBuf::from(CONTROL_GROUPS)
        } else {
            place_inside(hierarchy)
        };
        let group = root.join("init.scope");
        fs::create_dir_all(&group)?;
        fs::write(group.join("cgroup.procs"), "0")?;
    }
    Ok(())
}
