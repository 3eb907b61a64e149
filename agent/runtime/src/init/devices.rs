//! Device nodes and the links that belong beside them.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use berth_agent_sys::mount::{attach, clone_mount_at};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, SFlag, fstatat, makedev, mknodat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};

use super::root::{Kind, Root, open_host};
use crate::failure::{AtStep as _, Failure, step};

/// Character devices that every container has.
const USUAL: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// A device to make.
struct Device {
    path: PathBuf,
    kind: SFlag,
    major: u64,
    minor: u64,
    mode: u32,
    owner: (u32, u32),
}

/// Makes all devices, unless the machine's own `/dev` is bound there.
pub(super) fn make(root: &Root, spec: &Spec) -> Result<(), Failure> {
    if has_bound_dev(spec) {
        return Ok(());
    }
    let dev = root
        .ensure(Path::new("/dev"), Kind::Directory)
        .at(step::DEVICES, || "/dev")?;
    for (name, major, minor) in USUAL {
        let path = Path::new("/dev").join(name);
        make_in(
            &dev,
            name,
            &Device {
                path,
                kind: SFlag::S_IFCHR,
                major,
                minor,
                mode: 0o666,
                owner: (0, 0),
            },
            root,
        )?;
    }
    for (name, target) in LINKS {
        // Kernels can do without a view of their memory.
        if name == "core" && !Path::new(target).exists() {
            continue;
        }
        match symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => {
                return Err(Failure::from_io(
                    step::DEVICES,
                    format!("/dev/{name}"),
                    &e.into(),
                ));
            }
        }
    }
    let listed = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.devices().as_ref());
    for device in listed.into_iter().flatten() {
        let device = described(device);
        let what = || device.path.display().to_string();
        let (Some(parent), Some(name)) = (
            device.path.parent(),
            device.path.file_name().and_then(|n| n.to_str()),
        ) else {
            return Err(Failure::new(
                step::DEVICES,
                format!("{}: no path for a device", what()),
            ));
        };
        let directory = root
            .ensure(parent, Kind::Directory)
            .at(step::DEVICES, what)?;
        make_in(&directory, name, &device, root)?;
    }
    Ok(())
}

fn has_bound_dev(spec: &Spec) -> bool {
    let is_bound = |mount: &oci_spec::runtime::Mount| {
        let by_option = mount
            .options()
            .iter()
            .flatten()
            .any(|option| option == "bind" || option == "rbind");
        mount.destination() == Path::new("/dev")
            && (by_option || mount.typ().as_deref() == Some("bind"))
    };
    spec.mounts().iter().flatten().any(is_bound)
}

fn described(device: &LinuxDevice) -> Device {
    let kind = match device.typ() {
        LinuxDeviceType::B => SFlag::S_IFBLK,
        LinuxDeviceType::P => SFlag::S_IFIFO,
        LinuxDeviceType::C | LinuxDeviceType::U | LinuxDeviceType::A => SFlag::S_IFCHR,
    };
    Device {
        path: device.path().clone(),
        kind,
        major: u64::try_from(device.major()).unwrap_or(0),
        minor: u64::try_from(device.minor()).unwrap_or(0),
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
    }
}

fn make_in(directory: &OwnedFd, name: &str, device: &Device, root: &Root) -> Result<(), Failure> {
    let what = || device.path.display().to_string();
    let number = makedev(device.major, device.minor);
    let mode = Mode::from_bits_truncate(device.mode);
    let made = match mknodat(directory, name, device.kind, mode, number) {
        Err(Errno::EEXIST) => {
            let present =
                fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).at(step::DEVICES, what)?;
            if present.st_rdev == number && present.st_mode & libc::S_IFMT == device.kind.bits() {
                return Ok(());
            }
            // The image has something else in this place.
            unlinkat(directory, name, UnlinkatFlags::NoRemoveDir).at(step::DEVICES, what)?;
            mknodat(directory, name, device.kind, mode, number)
        }
        other => other,
    };
    match made {
        Ok(()) => {}
        // Machines that are containers themselves often may not make devices, but may show theirs.
        Err(Errno::EPERM) => return show_hosts(device, root),
        Err(e) => return Err(Failure::from_io(step::DEVICES, what(), &e.into())),
    }
    let (uid, gid) = device.owner;
    if device.owner != (0, 0) {
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        fchownat(
            directory,
            name,
            owner.0,
            owner.1,
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .at(step::DEVICES, what)?;
    }
    // The mode needs no second call: there is no umask here. A chmod would follow a link that another container put
    // in this place of a shared volume, out to the machine.
    Ok(())
}

fn show_hosts(device: &Device, root: &Root) -> Result<(), Failure> {
    let what = || device.path.display().to_string();
    let hosts = open_host(&device.path).at(step::DEVICES, what)?;
    let tree = clone_mount_at(&hosts, false).at(step::DEVICES, what)?;
    let target = root
        .ensure(&device.path, Kind::File)
        .at(step::DEVICES, what)?;
    attach(&tree, &target).at(step::DEVICES, what)
}
