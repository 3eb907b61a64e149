//! Labels of security modules that the command gets: an AppArmor profile or an SELinux context.

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use oci_spec::runtime::Process;

use super::shield::{open_in, private_procfs};
use super::sync::ChildEnd;
use crate::failure::{AtStep as _, Failure, step};

/// The labels for the next `execve`, and the procfs through which the process that calls it sets them.
pub(super) struct Labels {
    procfs: OwnedFd,
    /// Files below a process's directory, with what they take.
    attributes: Vec<(&'static str, String)>,
}

/// Returns the labels that are asked for, if the machine has a module for them; it is a warning if not.
pub(super) fn of(process: &Process, sync: &ChildEnd) -> Result<Option<Labels>, Failure> {
    let mut attributes = Vec::new();
    let asked = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(profile) = asked(process.apparmor_profile()).filter(|name| name != "unconfined") {
        if is_yes("/sys/module/apparmor/parameters/enabled") {
            let own = "attr/apparmor/exec";
            let has_own = Path::new("/proc/self").join(own).exists();
            let file = if has_own { own } else { "attr/exec" };
            attributes.push((file, format!("exec {profile}")));
        } else {
            sync.warn(format!(
                "AppArmor profile {profile} has no effect: the machine has no AppArmor"
            ));
        }
    }
    if let Some(label) = asked(process.selinux_label()) {
        if Path::new("/sys/fs/selinux/enforce").exists() {
            attributes.push(("attr/exec", label));
        } else {
            sync.warn(format!(
                "SELinux label {label} has no effect: the machine has no SELinux"
            ));
        }
    }
    if attributes.is_empty() {
        return Ok(None);
    }
    let procfs = private_procfs().at(step::LABELS, || "procfs")?;
    Ok(Some(Labels { procfs, attributes }))
}

impl Labels {
    /// Sets them for the calling process, in procfs itself whatever the container has mounted at `/proc`.
    pub(super) fn set(&self) -> Result<(), Failure> {
        for (file, value) in &self.attributes {
            let path = Path::new("thread-self");
            let own =
                nix::fcntl::readlinkat(&self.procfs, path).at(step::LABELS, || "thread-self")?;
            let opened = open_in(&self.procfs, &Path::new(&own).join(file));
            let opened = opened.at(step::LABELS, || value)?;
            fs::File::from(opened)
                .write_all(value.as_bytes())
                .at(step::LABELS, || value)?;
        }
        Ok(())
    }

    pub(super) fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.procfs)
    }
}

fn is_yes(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == "Y")
}
