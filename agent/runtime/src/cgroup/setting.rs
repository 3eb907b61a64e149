//! One limit as the kernel takes it: a value for a control file.

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxBlockIo, LinuxResources, LinuxThrottleDevice};

use super::{CgroupError, write};

/// A value for a control file.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) file: PathBuf,
    pub(super) value: String,
    /// What people call it.
    pub(super) what: String,
    /// Another name of the file, for kernels with another scheduler.
    other: Option<&'static str>,
    /// Whether a kernel without the file does not matter.
    is_optional: bool,
}

impl Setting {
    pub(super) fn new(
        file: impl Into<PathBuf>,
        value: impl ToString,
        what: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            value: value.to_string(),
            what: what.into(),
            other: None,
            is_optional: false,
        }
    }

    /// Returns a setting if there is a value.
    pub(super) fn some(file: &str, value: Option<impl ToString>, what: &str) -> Option<Self> {
        value.map(|value| Self::new(file, value, what))
    }

    pub(super) fn or(self, other: &'static str) -> Self {
        Self {
            other: Some(other),
            ..self
        }
    }

    /// Places its file in a directory.
    pub(super) fn below(self, directory: &Path) -> Self {
        Self {
            file: directory.join(&self.file),
            ..self
        }
    }

    pub(super) fn if_present(self) -> Self {
        Self {
            is_optional: true,
            ..self
        }
    }

    fn write(&self) -> Result<(), CgroupError> {
        let written = write(&self.file, &self.value);
        match (&written, self.other) {
            (Err(e), Some(other)) if e.source.kind() == io::ErrorKind::NotFound => {
                write(&self.file.with_file_name(other), &self.value)
            }
            _ => written,
        }
    }

    /// Returns why it has no effect, if the machine cannot do it; other failures are the value's.
    fn lack(&self, error: &CgroupError) -> Option<String> {
        let file = self.file.file_name().unwrap_or_default().display();
        let reason = match error.source.kind() {
            _ if error.source.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                format!("the kernel does not support {file}")
            }
            io::ErrorKind::NotFound => format!("the kernel has no {file}"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                format!("the agent may not write {file}")
            }
            _ => return None,
        };
        Some(format!("{} has no effect: {reason}", self.what))
    }

    fn failure(self, error: CgroupError) -> CgroupError {
        CgroupError {
            action: format!("{}: {}", self.what, error.action),
            ..error
        }
    }
}

/// Writes all settings. What the machine cannot do is a warning; a value that the kernel does not take is an error.
///
/// Some values are taken only after others (a limit of memory below the one of memory and swap, a quota that fits its
/// period), and which comes first depends on the present ones; so what is refused is tried again after the others.
pub(super) fn write_all(
    settings: Vec<Setting>,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let mut refused = Vec::new();
    for setting in settings {
        match setting.write() {
            Ok(()) => {}
            Err(e) => match setting.lack(&e) {
                Some(_) if setting.is_optional => {}
                Some(warning) => warnings.push(warning),
                None => refused.push(setting),
            },
        }
    }
    for setting in refused {
        if let Err(e) = setting.write() {
            return Err(setting.failure(e));
        }
    }
    Ok(())
}

/// Writes one limit to a file of a directory.
pub(super) fn write_limit(
    directory: &Path,
    file: &str,
    value: &str,
    what: &str,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let setting = Setting::new(file, value, what).below(directory);
    match setting.write() {
        Ok(()) => Ok(()),
        Err(e) => match setting.lack(&e) {
            Some(warning) => {
                warnings.push(warning);
                Ok(())
            }
            None => Err(setting.failure(e)),
        },
    }
}

/// Returns all throttles of block devices: `read` or `write`, `bps` or `iops`, and the device with its rate.
pub(super) fn block_throttles(
    io: &LinuxBlockIo,
) -> impl Iterator<Item = (&'static str, &'static str, &LinuxThrottleDevice)> {
    let lists = [
        ("read", "bps", io.throttle_read_bps_device()),
        ("write", "bps", io.throttle_write_bps_device()),
        ("read", "iops", io.throttle_read_iops_device()),
        ("write", "iops", io.throttle_write_iops_device()),
    ];
    lists.into_iter().flat_map(|(direction, unit, list)| {
        let devices = list.iter().flatten();
        devices.map(move |device| (direction, unit, device))
    })
}

/// Returns the lines for `rdma.max`, which are the same in both versions.
pub(super) fn rdma(resources: &LinuxResources) -> Vec<String> {
    let devices = resources.rdma().iter().flatten();
    let lines = devices.map(|(device, limits)| {
        let mut line = device.clone();
        for (name, limit) in [
            ("hca_handle", limits.hca_handles()),
            ("hca_object", limits.hca_objects()),
        ] {
            line.extend(limit.map(|n| format!(" {name}={n}")));
        }
        line
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_other_name_of_a_file_is_tried_and_an_optional_one_is_not_missed() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("io.bfq.weight");
        fs::write(&other, "").unwrap();
        let mut warnings = Vec::new();
        let settings = vec![
            Setting::new(dir.path().join("io.weight"), 7, "the weight").or("io.bfq.weight"),
            Setting::new(dir.path().join("pages.rsvd"), 7, "pages").if_present(),
            Setting::new(dir.path().join("pages"), 7, "pages"),
        ];
        write_all(settings, &mut warnings).unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "7");
        assert_eq!(warnings, ["pages has no effect: the kernel has no pages"]);
    }
}
