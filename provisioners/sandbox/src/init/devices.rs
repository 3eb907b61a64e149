//! `/dev`: the devices that a machine has, made anew at every boot.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;

use berth_provisioners_api::DriverError;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};

use crate::failure::Doing as _;
use crate::init::Guest;

/// Name, major and minor number, permissions.
const NODES: [(&str, u64, u64, u32); 9] = [
    ("null", 1, 3, 0o666),
    ("zero", 1, 5, 0o666),
    ("full", 1, 7, 0o666),
    ("random", 1, 8, 0o666),
    ("urandom", 1, 9, 0o666),
    ("kmsg", 1, 11, 0o600),
    ("tty", 5, 0, 0o666),
    ("fuse", 10, 229, 0o666),
    ("net/tun", 10, 200, 0o666),
];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
    // The host's console is not the machine's.
    ("null", "/dev/console"),
];

/// Mounts and fills `/dev`.
pub(super) fn make(guest: Guest) -> Result<(), DriverError> {
    let before = umask(Mode::empty());
    let result = make_all(guest).doing(|| "cannot make the machine's devices".to_owned());
    umask(before);
    result
}

fn make_all(guest: Guest) -> io::Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount_at("/dev", "tmpfs", MsFlags::MS_NOSUID, "mode=755,size=4m")?;
    for directory in ["net", "pts", "shm", "mqueue"] {
        fs::create_dir(format!("/dev/{directory}"))?;
    }
    for (name, major, minor, mode) in NODES {
        // The kernel's log is the host's, and an init of a distribution writes all over it.
        if guest == Guest::Unknown && name == "kmsg" {
            continue;
        }
        let path = format!("/dev/{name}");
        let mode = Mode::from_bits_truncate(mode);
        mknod(path.as_str(), SFlag::S_IFCHR, mode, makedev(major, minor))?;
    }
    for (target, link) in LINKS {
        symlink(target, link)?;
    }
    mount_at(
        "/dev/pts",
        "devpts",
        quiet,
        "newinstance,ptmxmode=0666,mode=620,gid=5",
    )?;
    mount_at(
        "/dev/shm",
        "tmpfs",
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        "mode=1777",
    )?;
    mount_at("/dev/mqueue", "mqueue", quiet | MsFlags::MS_NODEV, "")
}

/// Mounts a filesystem of the kernel's own.
pub(super) fn mount_at(place: &str, kind: &str, flags: MsFlags, options: &str) -> io::Result<()> {
    fs::create_dir_all(place)?;
    let options = Some(options).filter(|options| !options.is_empty());
    mount(Some(kind), place, Some(kind), flags, options)
        .map_err(|errno| io::Error::new(io::Error::from(errno).kind(), format!("{place}: {errno}")))
}
