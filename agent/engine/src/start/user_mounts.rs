//! The mounts of a container that starts, with sources that exist.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_agent_snapshots::{Access, Bind};

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

/// Returns what of the machine's files a mount shows, also to those who work on the files of a container
/// that does not run; nothing for memory.
pub(crate) fn bind(mount: &MountRecord) -> Option<Bind> {
    if matches!(mount.kind, MountKind::Tmpfs { .. }) {
        return None;
    }
    // Read-only is meant for what is mounted below as well, unless somebody says otherwise.
    let access = match mount.read_only {
        true if mount.writable_below || mount.non_recursive => Access::ReadOnlyHere,
        true => Access::ReadOnly,
        false => Access::ReadWrite,
    };
    Some(Bind {
        source: PathBuf::from(&mount.source),
        subpath: PathBuf::from(&mount.subpath),
        recursive: !mount.non_recursive,
        target: PathBuf::from(&mount.target),
        access,
    })
}

fn user_mount(mount: &MountRecord, number: usize, folder: &Path) -> Result<UserMount, StartError> {
    let Some(bind) = bind(mount) else {
        return Ok(memory(mount));
    };
    let mut source = bind.source.clone();
    if mount.kind == MountKind::Bind {
        ensure(&source, mount.must_exist)?;
        propagation::check(&source, &mount.propagation)?;
    }
    if !bind.subpath.as_os_str().is_empty() {
        let made = host_mounts::subpath(folder, number, &bind);
        source = made.map_err(|error| StartError::Subpath {
            path: source.join(&bind.subpath),
            source: error,
        })?;
    }
    Ok(UserMount {
        kind: "bind",
        source,
        target: mount.target.clone(),
        options: options(&bind, &mount.propagation),
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

fn memory(mount: &MountRecord) -> UserMount {
    let options = match &mount.kind {
        MountKind::Tmpfs { options } => options.clone(),
        MountKind::Bind | MountKind::Volume { .. } => Vec::new(),
    };
    UserMount {
        kind: "tmpfs",
        source: PathBuf::new(),
        target: mount.target.clone(),
        options,
    }
}

fn options(bind: &Bind, propagation: &str) -> Vec<String> {
    let kind = if bind.recursive { "rbind" } else { "bind" };
    let propagation = if propagation.is_empty() {
        DEFAULT_PROPAGATION
    } else {
        propagation
    };
    let mut options = vec![kind, propagation];
    // A mount that the machine has read-only stays so: nothing asks for "rw".
    match bind.access {
        Access::ReadWrite => {}
        Access::ReadOnlyHere => options.push("ro"),
        Access::ReadOnly => options.extend(["ro", "rro"]),
    }
    options.into_iter().map(str::to_owned).collect()
}
