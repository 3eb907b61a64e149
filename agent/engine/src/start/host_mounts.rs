//! What the machine itself has to have mounted for a container: shared memory that others may join,
//! and folders in volumes. All of it lies in one folder of the container below the run root, and goes
//! when the container ends or, should the agent die meanwhile, when the next one looks.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_agent_snapshots::Bind;
use berth_agent_sys::root_dir::RootDir;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::fstat;

/// Returns where a container's shared memory is.
pub(crate) fn shared_memory_at(folder: &Path) -> PathBuf {
    folder.join("shm")
}

/// Mounts shared memory of `size` bytes.
pub(crate) fn shared_memory(folder: &Path, size: i64) -> io::Result<PathBuf> {
    let place = shared_memory_at(folder);
    unmount(&place)?;
    make_folder(&place)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    let options = format!("mode=1777,size={size}");
    mount(
        Some("shm"),
        &place,
        Some("tmpfs"),
        flags,
        Some(options.as_str()),
    )?;
    // What is mounted in it by containers is not the machine's.
    mount(
        None::<&str>,
        &place,
        None::<&str>,
        MsFlags::MS_PRIVATE,
        None::<&str>,
    )?;
    Ok(place)
}

/// Mounts a path of a volume, found without ever leaving the volume: those who can write to it may
/// change what its links point to at any moment.
pub(crate) fn subpath(folder: &Path, number: usize, bind: &Bind) -> io::Result<PathBuf> {
    let found = RootDir::open(&bind.source)?.locate(&bind.subpath)?;
    let place = folder.join(format!("volume-{number}"));
    unmount(&place)?;
    if fstat(&found)?.st_mode & nix::libc::S_IFMT == nix::libc::S_IFDIR {
        make_folder(&place)?;
    } else {
        make_folder(folder)?;
        drop(File::create(&place)?);
    }
    let source = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(
        Some(source.as_str()),
        &place,
        None::<&str>,
        flags,
        None::<&str>,
    )?;
    let flags = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, &place, None::<&str>, flags, None::<&str>)?;
    Ok(place)
}

/// Takes everything of one container back. That there is nothing is fine.
pub(crate) fn release(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let place = entry.path();
        unmount(&place)?;
        // Never recursively: should something still be mounted, it is not ours to delete.
        if entry.file_type()?.is_dir() {
            fs::remove_dir(&place)?;
        } else {
            fs::remove_file(&place)?;
        }
    }
    fs::remove_dir(folder)
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn unmount(place: &Path) -> io::Result<()> {
    loop {
        match umount2(place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // One that was killed in the middle may have mounted more than once.
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn is_mounted(place: &Path) -> bool {
        let text = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        text.lines()
            .any(|line| line.split(' ').nth(4) == place.to_str())
    }

    #[test]
    fn shared_memory_is_mounted_once_and_leaves_nothing() {
        let root = tempfile::tempdir().expect("temporary directory");
        let folder = root.path().join("id");
        let place = shared_memory(&folder, 1 << 20).expect("first");
        assert_eq!(shared_memory(&folder, 1 << 20).expect("again"), place);
        assert!(is_mounted(&place));
        fs::write(place.join("x"), "x").expect("writable");
        release(&folder).expect("released");
        assert!(!is_mounted(&place) && !folder.exists());
        release(&folder).expect("nothing to release");
    }

    #[test]
    fn a_path_in_a_volume_never_leads_out_of_it() {
        let root = tempfile::tempdir().expect("temporary directory");
        let volume = root.path().join("volume");
        fs::create_dir_all(volume.join("a")).expect("folder");
        fs::write(volume.join("a/file"), "inside").expect("file");
        fs::write(root.path().join("secret"), "outside").expect("file");
        symlink("../..", volume.join("up")).expect("link");
        symlink("/", volume.join("root")).expect("link");
        let folder = root.path().join("id");
        let at = |path: &str| Bind {
            source: volume.clone(),
            subpath: PathBuf::from(path),
            ..Bind::default()
        };
        let place = subpath(&folder, 0, &at("up/root/a")).expect("inside all the time");
        assert_eq!(
            fs::read_to_string(place.join("file")).expect("file"),
            "inside"
        );
        let file = subpath(&folder, 1, &at("a/file")).expect("a file");
        assert_eq!(fs::read_to_string(file).expect("file"), "inside");
        for path in ["up/secret", "root/secret", "../secret"] {
            subpath(&folder, 2, &at(path)).expect_err(path);
        }
        release(&folder).expect("released");
        assert!(volume.join("a/file").exists());
    }
}
