//! Changing the limits of a group that is in use.

use std::io;

use oci_spec::runtime::LinuxResources;

use super::{Cgroup, CgroupError};

impl Cgroup {
    /// Applies limits to a group that is there; what is not asked for stays. Returns what had no effect.
    ///
    /// Rules for devices are not limits and stay as they are.
    pub(crate) fn update(&self, resources: &LinuxResources) -> Result<Vec<String>, CgroupError> {
        // A file that is missing because its group is gone is not one that the kernel lacks.
        if let Some(gone) = self.directories().find(|directory| !directory.exists()) {
            return Err(CgroupError::new(
                "changing",
                &gone,
                io::ErrorKind::NotFound.into(),
            ));
        }
        let mut limits = resources.clone();
        limits.set_devices(None);
        self.apply(&limits)
    }
}
