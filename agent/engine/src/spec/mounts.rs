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

/// A bind or volume with its source on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserMount {
    pub(crate) source: PathBuf,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    /// Empty: private.
    pub(crate) propagation: String,
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
        let propagation = if mount.propagation.is_empty() {
            "rprivate"
        } else {
            &mount.propagation
        };
        // A mount that the machine has read-only stays so: nothing asks for "rw". And read-only is meant for
        // what is mounted below as well, as with Docker.
        let access: &[&str] = if mount.read_only { &["ro", "rro"] } else { &[] };
        let options = [&["rbind", propagation], access].concat();
        let built = bind(&mount.source, &mount.target, &options)?;
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
    let cgroup: &[&str] = if input.host.privileged {
        &["nosuid", "noexec", "nodev", "relatime", "rw"]
    } else {
        &["nosuid", "noexec", "nodev", "relatime", "ro"]
    };
    Ok(vec![
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
        fs(
            "tmpfs",
            "shm",
            "/dev/shm",
            &["nosuid", "noexec", "nodev", "mode=1777", &shm],
        )?,
    ])
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

fn bind(source: &Path, target: &str, options: &[&str]) -> Result<Mount, OciSpecError> {
    MountBuilder::default()
        .destination(PathBuf::from(target))
        .typ("bind")
        .source(source.to_owned())
        .options(options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
        .build()
}
