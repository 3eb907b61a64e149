//! The machine's disk: a directory with all that it has written.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use berth_provisioners_api::DriverError;

use crate::failure::{Doing as _, chain};
use crate::keys::{fresh, public_half};
use crate::plan::Files;

/// A directory of the machine that is a directory of its own on the disk.
///
/// It hides what this host has there. And it lies on a real filesystem: the machine's root is an
/// overlay, on which an engine could not stack another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnDirectory {
    /// Where the machine sees it.
    pub(crate) place: &'static str,
    /// What it is called on the disk.
    pub(crate) name: &'static str,
    /// Its permissions when it is new.
    pub(crate) mode: u32,
    /// Whether it is emptied at every boot.
    pub(crate) fleeting: bool,
}

/// The directories that a machine has for itself.
pub(crate) const OWN_DIRECTORIES: [OwnDirectory; 10] = [
    own("/root", "root", 0o700),
    own("/home", "home", 0o755),
    own("/var/tmp", "var-tmp", 0o1777),
    own("/var/lib/berth", "berth", 0o710),
    own("/var/lib/berth-sandbox", "berth-sandbox", 0o700),
    own("/var/lib/docker", "docker", 0o710),
    own("/var/lib/containerd", "containerd", 0o711),
    own("/var/lib/containers", "containers", 0o755),
    own("/var/lib/docker-registry", "docker-registry", 0o755),
    OwnDirectory {
        place: "/tmp",
        name: "tmp",
        mode: 0o1777,
        fleeting: true,
    },
];

const fn own(place: &'static str, name: &'static str, mode: u32) -> OwnDirectory {
    OwnDirectory {
        place,
        name,
        mode,
        fleeting: false,
    }
}

/// The directories of a disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Returns the disk at `root`, whether it exists or not.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Returns where the disk is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Tells whether the disk has been made.
    pub(crate) fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// Returns where the machine's root filesystem is put together, in the init's own mounts.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.root.join("mnt")
    }

    /// Returns the place of one of the machine's own directories.
    pub(crate) fn own_directory(&self, directory: OwnDirectory) -> PathBuf {
        self.root.join("own").join(directory.name)
    }

    /// Makes the two directories of an overlay and returns them.
    pub(crate) fn layer(&self, name: &str) -> io::Result<(PathBuf, PathBuf)> {
        let layer = self.root.join("layers").join(name);
        let (upper, work) = (layer.join("upper"), layer.join("work"));
        make_directory(&upper, 0o755)?;
        make_directory(&work, 0o755)?;
        Ok((upper, work))
    }

    /// Makes what is missing of the disk.
    pub(crate) fn make(&self) -> Result<(), DriverError> {
        let doing = || format!("cannot make disk {}", self.root.display());
        make_directory(&self.root, 0o700).doing(doing)?;
        make_directory(&self.mount_point(), 0o700).doing(doing)?;
        for directory in OWN_DIRECTORIES {
            make_directory(&self.own_directory(directory), directory.mode).doing(doing)?;
        }
        Ok(())
    }

    /// Empties the directories that do not outlive a boot.
    pub(crate) fn empty_fleeting(&self) -> io::Result<()> {
        for directory in OWN_DIRECTORIES
            .iter()
            .filter(|directory| directory.fleeting)
        {
            let path = self.own_directory(*directory);
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Removes the disk and all that is on it.
    pub(crate) fn remove(&self) -> Result<(), DriverError> {
        unless_gone(fs::remove_dir_all(&self.root))
            .doing(|| format!("cannot remove disk {}", self.root.display()))
    }
}

/// Makes a directory with exactly these permissions, unless it is there.
fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    // The creation mask has no say here.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Treats that something is not there as success.
pub(crate) fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes the files beside the disk, and returns what could not be removed.
pub(crate) fn remove_files(files: &Files) -> Result<(), DriverError> {
    let mut problems = Vec::new();
    let (client, host) = (files.client_key(), files.host_key());
    let paths = [
        public_half(&client),
        public_half(&host),
        public_half(&fresh(&client)),
        public_half(&fresh(&host)),
        fresh(&client),
        fresh(&host),
        client,
        host,
        files.console(),
        files.plan().with_extension("new"),
        files.plan(),
        files.lock(),
    ];
    for path in paths {
        if let Err(error) = unless_gone(fs::remove_file(&path)) {
            problems.push(format!("{}: {}", path.display(), chain(&error)));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(DriverError::failed(
            "cannot remove files of the machine",
            problems.join("; "),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_made_twice_and_removed_twice() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::at(directory.path().join("disk"));
        disk.make().unwrap();
        disk.make().unwrap();
        let temporary = OWN_DIRECTORIES.iter().find(|own| own.fleeting).unwrap();
        let path = disk.own_directory(*temporary);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o1777);
        fs::create_dir(path.join("a")).unwrap();
        fs::write(path.join("a/b"), "").unwrap();
        disk.empty_fleeting().unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        disk.remove().unwrap();
        disk.remove().unwrap();
        assert!(!disk.exists());
    }
}
