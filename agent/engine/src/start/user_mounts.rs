//! The mounts of a container that starts, with sources that exist.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::container::record::{ContainerRecord, MountKind, MountRecord};
use crate::create::mount::{DEFAULT_PROPAGATION, InvalidMount, MountFault};
use crate::spec::UserMount;
use crate::start::error::StartError;
use crate::start::host_mounts;
use crate::start::propagation;

/// Returns the mounts: missing folders are made, as `docker run -v` does, unless the mount says that
/// its source must be there. `folder` is for what the machine has to mount first.
pub(super) fn user_mounts(
    record: &ContainerRecord,
    folder: &Path,
) -> Result<Vec<UserMount>, StartError> {
    record
        .mounts
        .iter()
        .enumerate()
        .map(|(number, mount)| user_mount(mount, number, folder))
        .collect()
}

fn user_mount(mount: &MountRecord, number: usize, folder: &Path) -> Result<UserMount, StartError> {
    if let MountKind::Tmpfs { options } = &mount.kind {
        return Ok(UserMount {
            kind: "tmpfs",
            source: PathBuf::new(),
            target: mount.target.clone(),
            options: options.clone(),
        });
    }
    let mut source = PathBuf::from(&mount.source);
    if mount.kind == MountKind::Bind {
        ensure(&source, mount.must_exist)?;
        propagation::check(&source, &mount.propagation)?;
    }
    if !mount.subpath.is_empty() {
        let made = host_mounts::subpath(folder, number, &source, &mount.subpath);
        source = made.map_err(|error| StartError::Subpath {
            path: source.join(&mount.subpath),
            source: error,
        })?;
    }
    Ok(UserMount {
        kind: "bind",
        source,
        target: mount.target.clone(),
        options: options(mount),
    })
}

fn ensure(source: &Path, must_exist: bool) -> Result<(), StartError> {
    // A link to nowhere is as good as nothing, but a folder cannot be made in its place.
    if fs::metadata(source).is_ok() {
        return Ok(());
    }
    if must_exist {
        return Err(StartError::Mount(InvalidMount {
            kind: "bind".to_owned(),
            fault: MountFault::NoSource(source.display().to_string()),
        }));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(source)
        .map_err(|error| StartError::MountSource {
            path: source.to_owned(),
            source: error,
        })
}

fn options(mount: &MountRecord) -> Vec<String> {
    let bind = if mount.non_recursive { "bind" } else { "rbind" };
    let propagation = if mount.propagation.is_empty() {
        DEFAULT_PROPAGATION
    } else {
        &mount.propagation
    };
    let mut options = vec![bind, propagation];
    // A mount that the machine has read-only stays so: nothing asks for "rw". And read-only is meant
    // for what is mounted below as well, unless somebody says otherwise.
    if mount.read_only {
        options.push("ro");
        if !mount.writable_below && !mount.non_recursive {
            options.push("rro");
        }
    }
    options.into_iter().map(str::to_owned).collect()
}
