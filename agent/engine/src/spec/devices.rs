//! `--device` and the devices of privileged containers.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};

use crate::create::mount::clean;
use crate::options::HostOptions;

/// A device of the machine that a container gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRequest {
    pub(crate) path: String,
    pub(crate) kind: LinuxDeviceType,
    pub(crate) major: i64,
    pub(crate) minor: i64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) access: String,
}

/// One `--device-cgroup-rule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRule {
    kind: LinuxDeviceType,
    /// Nothing: any.
    major: Option<i64>,
    minor: Option<i64>,
    access: String,
}

/// A `--device` cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The text is malformed.
    #[error("invalid device specification: {0}")]
    Malformed(String),
    /// A device rule is malformed.
    #[error("invalid device cgroup rule format: '{0}'")]
    Rule(String),
    /// The path is no device.
    #[error("error gathering device information while adding custom device \"{path}\"")]
    NotADevice {
        /// The path on the machine.
        path: String,
        /// What the kernel says, when it is not simply another kind of file.
        #[source]
        source: std::io::Error,
    },
}

impl DeviceRequest {
    /// Reads `host-path[:container-path[:rwm]]` and looks at the device, or at all that are in a
    /// folder. Links are followed on the machine, where they belong.
    pub(crate) fn look_up(text: &str) -> Result<Vec<Self>, DeviceError> {
        let malformed = || DeviceError::Malformed(text.to_owned());
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, access) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, second] if is_access(second) => (host, host, second),
            [host, container] => (host, container, "rwm"),
            [host, container, access] if is_access(access) => (host, container, access),
            _ => return Err(malformed()),
        };
        if !host.starts_with('/') || !container.starts_with('/') || text.contains('\0') {
            return Err(malformed());
        }
        let not_a_device = |source| DeviceError::NotADevice {
            path: host.to_owned(),
            source,
        };
        let real = fs::canonicalize(host).map_err(not_a_device)?;
        let target = clean(container);
        if !real.is_dir() {
            return Ok(vec![
                Self::of_file(&real, target, access).map_err(not_a_device)?,
            ]);
        }
        let mut found = Self::below(&real, access);
        for device in &mut found {
            let rest = Path::new(&device.path).strip_prefix(&real);
            let rest = rest.unwrap_or_else(|_| Path::new("")).to_string_lossy();
            device.path = clean(&format!("{target}/{rest}"));
        }
        if found.is_empty() {
            return Err(not_a_device(std::io::Error::other("not a device node")));
        }
        Ok(found)
    }

    fn of_file(path: &Path, target: String, access: &str) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let kind = if metadata.file_type().is_char_device() {
            LinuxDeviceType::C
        } else if metadata.file_type().is_block_device() {
            LinuxDeviceType::B
        } else {
            return Err(std::io::Error::other("not a device node"));
        };
        Ok(Self {
            path: target,
            kind,
            major: i64::try_from(major(metadata.rdev())).unwrap_or_default(),
            minor: i64::try_from(minor(metadata.rdev())).unwrap_or_default(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            access: access.to_owned(),
        })
    }

    /// Returns every device of the machine, except terminals and shared memory.
    pub(crate) fn all() -> Vec<Self> {
        Self::below(Path::new("/dev"), "rwm")
    }

    fn below(folder: &Path, access: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            // What vanishes while it is listed is simply not there.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                let name = entry.file_name();
                if kind.is_dir() {
                    if !["pts", "shm", "fd", "mqueue", ".lxc", ".udev"]
                        .iter()
                        .any(|d| name == *d)
                    {
                        folders.push(entry.path());
                    }
                } else if name != "console" && (kind.is_char_device() || kind.is_block_device()) {
                    let path = entry.path();
                    let target = path.to_string_lossy().into_owned();
                    found.extend(Self::of_file(&path, target, access));
                }
            }
        }
        found
    }
}

impl DeviceRule {
    /// Reads `type major:minor access`; `*` is any number.
    pub(crate) fn parse(text: &str) -> Result<Self, DeviceError> {
        let parse = || {
            let mut words = text.split(' ');
            let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
            let kind = match kind {
                "a" => LinuxDeviceType::A,
                "b" => LinuxDeviceType::B,
                "c" => LinuxDeviceType::C,
                _ => return None,
            };
            let (major, minor) = numbers.split_once(':')?;
            let is_complete = words.next().is_none() && access.len() <= 3 && is_access(access);
            is_complete.then_some(Self {
                kind,
                major: device_number(major)?,
                minor: device_number(minor)?,
                access: access.to_owned(),
            })
        };
        parse().ok_or_else(|| DeviceError::Rule(text.to_owned()))
    }

    /// Returns the rule, which lets through.
    pub(super) fn to_oci(&self) -> Result<LinuxDeviceCgroup, OciSpecError> {
        let mut rule = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(self.kind)
            .access(&self.access);
        if let Some(major) = self.major {
            rule = rule.major(major);
        }
        if let Some(minor) = self.minor {
            rule = rule.minor(minor);
        }
        rule.build()
    }
}

/// Returns nothing for what is no number, and no number for `*`.
fn device_number(text: &str) -> Option<Option<i64>> {
    if text == "*" {
        return Some(None);
    }
    text.parse::<u32>()
        .ok()
        .map(|number| Some(i64::from(number)))
}

fn is_access(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'r' | b'w' | b'm'))
}

/// Returns the nodes to make besides those that every container has.
pub(super) fn nodes(
    host: &HostOptions,
    devices: &[DeviceRequest],
) -> Result<Vec<LinuxDevice>, OciSpecError> {
    let node = |device: &DeviceRequest| {
        LinuxDeviceBuilder::default()
            .path(PathBuf::from(&device.path))
            .typ(device.kind)
            .major(device.major)
            .minor(device.minor)
            .file_mode(device.mode)
            .uid(device.uid)
            .gid(device.gid)
            .build()
    };
    let all = if host.privileged {
        DeviceRequest::all()
    } else {
        Vec::new()
    };
    let chosen = devices.iter().map(|d| d.path.as_str()).collect::<Vec<_>>();
    let is_default = |path: &str| {
        [
            "/dev/null",
            "/dev/zero",
            "/dev/full",
            "/dev/random",
            "/dev/urandom",
            "/dev/tty",
            "/dev/ptmx",
        ]
        .contains(&path)
    };
    let others = all
        .iter()
        .filter(|d| !chosen.contains(&d.path.as_str()) && !is_default(&d.path));
    devices
        .iter()
        .filter(|d| !is_default(&d.path))
        .chain(others)
        .map(node)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_looked_up_with_its_numbers() {
        let found = DeviceRequest::look_up("/dev/null:/dev/nothing:rw").expect("null exists");
        let [device] = &found[..] else {
            panic!("one device, not {found:?}");
        };
        assert_eq!(
            (device.major, device.minor, device.kind),
            (1, 3, LinuxDeviceType::C)
        );
        assert_eq!(
            (device.path.as_str(), device.access.as_str()),
            ("/dev/nothing", "rw")
        );
        let found = DeviceRequest::look_up("/dev/null:r").expect("access");
        assert_eq!(found[0].access, "r");
    }

    #[test]
    fn links_and_folders_of_the_machine_lead_to_their_devices() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).expect("link");
        let found = DeviceRequest::look_up(&format!("{}:/dev/x", link.display())).expect("link");
        assert_eq!((found[0].minor, found[0].path.as_str()), (5, "/dev/x"));
        let made = folder.path().join("devices/deep");
        fs::create_dir_all(&made).expect("folder");
        let mode = nix::sys::stat::Mode::S_IRUSR;
        let kind = nix::sys::stat::SFlag::S_IFCHR;
        nix::sys::stat::mknod(
            &made.join("node"),
            kind,
            mode,
            nix::sys::stat::makedev(1, 7),
        )
        .expect("node");
        let text = format!("{}:/dev/all:r", folder.path().join("devices").display());
        let found = DeviceRequest::look_up(&text).expect("folder");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "/dev/all/deep/node");
        DeviceRequest::look_up(folder.path().join("nothing").to_str().expect("text"))
            .expect_err("no such folder");
    }

    #[test]
    fn rules_for_devices_are_read_as_the_kernel_reads_them() {
        for good in ["c 1:3 rwm", "a *:* r", "b 7:* rw"] {
            DeviceRule::parse(good).expect(good);
        }
        for bad in [
            "",
            "c 1:3",
            "x 1:3 r",
            "c 1 r",
            "c 1:3 rx",
            "c 1:3 rwmr",
            "c -1:3 r",
            "c 1:3 r ",
        ] {
            DeviceRule::parse(bad).expect_err(bad);
        }
    }

    #[test]
    fn what_is_no_device_is_refused() {
        assert!(matches!(
            DeviceRequest::look_up("/etc/passwd"),
            Err(DeviceError::NotADevice { .. })
        ));
        assert!(matches!(
            DeviceRequest::look_up("/nowhere"),
            Err(DeviceError::NotADevice { .. })
        ));
        assert!(matches!(
            DeviceRequest::look_up("null"),
            Err(DeviceError::Malformed(_))
        ));
        assert!(matches!(
            DeviceRequest::look_up("/a:/b:x"),
            Err(DeviceError::Malformed(_))
        ));
    }
}
