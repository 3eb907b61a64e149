//! The mounts of a container: the kernel's filesystems, the three network files, the user's.

use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime::{Mount, MountBuilder};

use super::SpecInput;

/// The files that name the container to itself, by their paths on the machine.
#[derive(Clone, Debug)]
pub(crate) struct FileMounts {
    pub(crate) hostname: PathBuf,
    pub(crate) hosts: PathBuf,
    pub(crate) resolv_conf: PathBuf,
}

/// A mount that was asked for, ready for the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserMount {
    /// `bind` or `tmpfs`.
    pub(crate) kind: &'static str,
    /// Path on the machine; empty for memory.
    pub(crate) source: PathBuf,
    pub(crate) target: String,
    pub(crate) options: Vec<String>,
}

/// Where processes share memory by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum SharedMemory {
    /// In a filesystem of the container's own.
    #[default]
    Own,
    /// In a folder of the machine, where others find it as well.
    At(PathBuf),
    /// Nowhere.
    None,
}

/// Returns all mounts in the order in which they are made: parents before what lies in them.
pub(super) fn mounts(input: &SpecInput<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let mut mounts = kernel_mounts(input)?;
    let mut user: Vec<(String, Mount)> = Vec::new();
    if let Some(files) = &input.files {
        for (target, source) in [
            ("/etc/resolv.conf", &files.resolv_conf),
            ("/etc/hostname", &files.hostname),
            ("/etc/hosts", &files.hosts),
        ] {
            let writable = if input.host.read_only_rootfs {
                "ro"
            } else {
                "rw"
            };
            let mount = bind(source, target, &["rbind", "rprivate", writable])?;
            user.push((target.to_owned(), mount));
        }
    }
    for tmpfs in input.tmpfs {
        let mount = fs("tmpfs", "tmpfs", &tmpfs.target, &tmpfs.options)?;
        user.push((tmpfs.target.clone(), mount));
    }
    for mount in input.mounts {
        let built = match mount.kind {
            "tmpfs" => fs("tmpfs", "tmpfs", &mount.target, &mount.options)?,
            _ => bind(&mount.source, &mount.target, &mount.options)?,
        };
        // A user's mount replaces one of ours at the same place.
        user.retain(|(target, _)| *target != mount.target);
        mounts.retain(|m| m.destination() != Path::new(&mount.target));
        user.push((mount.target.clone(), built));
    }
    for tmpfs in input.tmpfs {
        mounts.retain(|m| m.destination() != Path::new(&tmpfs.target));
    }
    // By depth, and as given within one depth.
    user.sort_by_key(|(target, _)| target.matches('/').count());
    mounts.extend(user.into_iter().map(|(_, mount)| mount));
    Ok(mounts)
}

fn kernel_mounts(input: &SpecInput<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let access = if input.host.privileged { "rw" } else { "ro" };
    let shm = format!("size={}", input.host.shm_size());
    let cgroup: &[&str] = if input.host.privileged || input.security.writable_cgroups {
        &["nosuid", "noexec", "nodev", "relatime", "rw"]
    } else {
        &["nosuid", "noexec", "nodev", "relatime", "ro"]
    };
    let mut mounts = vec![
        fs("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"])?,
        fs(
            "tmpfs",
            "tmpfs",
            "/dev",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        )?,
        fs(
            "devpts",
            "devpts",
            "/dev/pts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        )?,
        fs(
            "sysfs",
            "sysfs",
            "/sys",
            &["nosuid", "noexec", "nodev", access],
        )?,
        fs("cgroup", "cgroup", "/sys/fs/cgroup", cgroup)?,
        fs(
            "mqueue",
            "mqueue",
            "/dev/mqueue",
            &["nosuid", "noexec", "nodev"],
        )?,
    ];
    match &input.shared_memory {
        SharedMemory::Own => mounts.push(fs(
            "tmpfs",
            "shm",
            "/dev/shm",
            &["nosuid", "noexec", "nodev", "mode=1777", &shm],
        )?),
        SharedMemory::At(path) => {
            mounts.push(bind(path, "/dev/shm", &["rbind", "rprivate"])?);
        }
        SharedMemory::None => {}
    }
    Ok(mounts)
}

fn fs(
    kind: &str,
    source: &str,
    target: &str,
    options: &[impl AsRef<str>],
) -> Result<Mount, OciSpecError> {
    MountBuilder::default()
        .destination(PathBuf::from(target))
        .typ(kind)
        .source(PathBuf::from(source))
        .options(
            options
                .iter()
                .map(|o| o.as_ref().to_owned())
                .collect::<Vec<_>>(),
        )
        .build()
}

fn bind(source: &Path, target: &str, options: &[impl AsRef<str>]) -> Result<Mount, OciSpecError> {
    MountBuilder::default()
        .destination(PathBuf::from(target))
        .typ("bind")
        .source(source.to_owned())
        .options(
            options
                .iter()
                .map(|o| o.as_ref().to_owned())
                .collect::<Vec<_>>(),
        )
        .build()
}
