//! What is mounted where, by the kernel's own account, and changing it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::options::MountPlan;

/// Mounts what a volume is at `place`.
pub(crate) fn attach(plan: &MountPlan, place: &Path) -> io::Result<()> {
    let kind = Some(plan.kind.as_str());
    let device = Some(plan.device.as_str());
    let data = Some(plan.data.as_str()).filter(|data| !data.is_empty());
    let failed = |errno| refused(plan, place, errno);
    mount(device, place, kind, plan.flags, data).map_err(failed)?;
    let done = shape(plan, place);
    if done.is_err() {
        detach(place)?;
    }
    done.map_err(failed)
}

/// Does what the kernel does only to a mount that exists.
fn shape(plan: &MountPlan, place: &Path) -> Result<(), Errno> {
    let none = None::<&str>;
    if !plan.propagation.is_empty() {
        mount(none, place, none, plan.propagation, none)?;
    }
    let narrowing = MsFlags::MS_RDONLY
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV
        | MsFlags::MS_NOEXEC
        | MsFlags::MS_NOATIME
        | MsFlags::MS_NODIRATIME;
    if plan.flags.contains(MsFlags::MS_BIND) && plan.flags.intersects(narrowing) {
        let flags = plan.flags.difference(MsFlags::MS_REC) | MsFlags::MS_REMOUNT;
        mount(none, place, none, flags, none)?;
    }
    Ok(())
}

/// Says what was tried, in Docker's order.
fn refused(plan: &MountPlan, place: &Path, errno: Errno) -> io::Error {
    let mut text = format!("mount {}:{}", plan.device, place.display());
    if !plan.flags.is_empty() {
        text.push_str(&format!(", flags: 0x{:x}", plan.flags.bits()));
    }
    let data = plan.shown_data();
    if !data.is_empty() {
        text.push_str(", data: ");
        text.push_str(&data);
    }
    io::Error::new(
        io::Error::from(errno).kind(),
        format!("{text}: {}", errno.desc().to_lowercase()),
    )
}

/// Takes everything off `place`; that nothing is there is fine.
pub(crate) fn detach(place: &Path) -> io::Result<()> {
    loop {
        match umount2(place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Tells whether something is mounted at `place` itself.
pub(crate) fn is_at(place: &Path) -> io::Result<bool> {
    let real = real(place);
    Ok(all()?.contains(&real))
}

/// Returns the first place below `folder`, or it itself, that something is mounted at.
pub(crate) fn below(folder: &Path) -> io::Result<Option<PathBuf>> {
    let real = real(folder);
    Ok(all()?.into_iter().find(|found| found.starts_with(&real)))
}

/// The kernel names places without symbolic links.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_missing| path.to_owned())
}

fn all() -> io::Result<Vec<PathBuf>> {
    let text = fs::read("/proc/self/mountinfo")?;
    let lines = text.split(|byte| *byte == b'\n');
    let places = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(places.map(unescape).collect())
}

/// Undoes the kernel's `\040` for a space and its like.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if let (
            b'\\',
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ],
        ) = (first, tail)
        {
            bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_the_kernel_writes_them() {
        assert_eq!(unescape(br"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescape(br"/a\9"), Path::new(r"/a\9"));
        assert!(is_at(Path::new("/proc")).unwrap());
        assert!(!is_at(Path::new("/proc/self")).unwrap());
    }
}
