//! What of a specification is looked at before anything is made.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxDeviceCgroup, LinuxDeviceType, LinuxNamespaceType, LinuxResources, Process, Spec,
};

use super::error::OciError;
use crate::failure::{Failure, step};

/// Reads the specification of a bundle.
pub(super) fn read(bundle: &Path) -> Result<Spec, OciError> {
    let path = bundle.join("config.json");
    let failed = |e| OciError::io("reading", path.display(), e);
    let bytes = std::fs::read(&path).map_err(failed)?;
    let mut spec: Spec = serde_json::from_slice(&bytes).map_err(|e| failed(e.into()))?;
    check(&spec)?;
    // Sources are relative to the bundle.
    for mount in spec.mounts_mut().iter_mut().flatten() {
        let relative = mount.source().clone().filter(|source| source.is_relative());
        let is_bind = mount.typ().as_deref() == Some("bind")
            || mount
                .options()
                .iter()
                .flatten()
                .any(|o| o == "bind" || o == "rbind");
        if let Some(source) = relative.filter(|_| is_bind) {
            mount.set_source(Some(bundle.join(source)));
        }
    }
    Ok(spec)
}

/// Returns the directory that becomes the root.
pub(super) fn rootfs(spec: &Spec, bundle: &Path) -> Result<PathBuf, OciError> {
    let Some(root) = spec.root() else {
        return Err(wrong("root is missing"));
    };
    let path = bundle.join(root.path());
    let found = std::fs::canonicalize(&path)
        .map_err(|e| OciError::io("finding root", path.display(), e))?;
    if found.is_dir() {
        Ok(found)
    } else {
        Err(wrong(&format!("root {} is no directory", path.display())))
    }
}

/// Returns the process, which a specification for `start` must have.
pub(super) fn process(spec: &Spec) -> Result<&Process, OciError> {
    let process = spec.process().as_ref();
    match process {
        Some(process) if process.args().iter().flatten().next().is_some() => Ok(process),
        Some(_) => Err(wrong("process.args must not be empty")),
        None => Err(wrong("process is missing")),
    }
}

/// Returns where the container's group is: below the root of each hierarchy that this process sees.
pub(super) fn cgroup_path(spec: &Spec, id: &str) -> PathBuf {
    let linux = spec.linux().as_ref();
    let asked = linux.and_then(|linux| linux.cgroups_path().clone());
    asked
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("/").join(id))
}

/// Returns the limits that are asked for. Rules that deny devices leave those that every container has.
pub(super) fn resources(spec: &Spec) -> LinuxResources {
    let linux = spec.linux().as_ref();
    let mut resources = linux
        .and_then(|linux| linux.resources().clone())
        .unwrap_or_default();
    let rules = resources.devices().clone().unwrap_or_default();
    if !rules.is_empty() {
        let usual = USUAL_DEVICES.iter().map(|(kind, major, minor, access)| {
            let mut rule = LinuxDeviceCgroup::default();
            rule.set_allow(true);
            rule.set_typ(Some(*kind));
            rule.set_major(*major);
            rule.set_minor(*minor);
            rule.set_access(Some((*access).to_owned()));
            rule
        });
        resources.set_devices(Some(rules.into_iter().chain(usual).collect()));
    }
    resources
}

/// What every container may do with devices: make nodes of all, and use those that the specification has it see.
const USUAL_DEVICES: [(LinuxDeviceType, Option<i64>, Option<i64>, &str); 11] = {
    use LinuxDeviceType::{B, C};
    [
        (C, None, None, "m"),
        (B, None, None, "m"),
        (C, Some(1), Some(3), "rwm"),
        (C, Some(1), Some(5), "rwm"),
        (C, Some(1), Some(7), "rwm"),
        (C, Some(1), Some(8), "rwm"),
        (C, Some(1), Some(9), "rwm"),
        (C, Some(5), Some(0), "rwm"),
        (C, Some(5), Some(1), "rwm"),
        (C, Some(5), Some(2), "rwm"),
        (C, Some(136), None, "rwm"),
    ]
};

fn check(spec: &Spec) -> Result<(), OciError> {
    let version = spec.version();
    let mut parts = version.split(['.', '-', '+']);
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
    if parts.next() != Some("1") || !is_number(parts.next()) || !is_number(parts.next()) {
        return Err(wrong(&format!("ociVersion {version:?} is not supported")));
    }
    let process = process(spec)?;
    if !process.cwd().is_absolute() {
        return Err(wrong("process.cwd must be an absolute path"));
    }
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_ref());
    let has_uts = namespaces
        .into_iter()
        .flatten()
        .any(|namespace| namespace.typ() == LinuxNamespaceType::Uts);
    if !has_uts && (spec.hostname().is_some() || spec.domainname().is_some()) {
        return Err(wrong("a host name needs a uts namespace"));
    }
    for mount in spec.mounts().iter().flatten() {
        if !mount.destination().is_absolute() {
            let place = mount.destination().display();
            return Err(wrong(&format!("mount at {place}: must be absolute")));
        }
    }
    Ok(())
}

fn wrong(message: &str) -> OciError {
    OciError::Step(Failure::new(step::REQUEST, message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let mut spec = json!({
            "ociVersion": "1.0.2-dev", "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": [{"type": "mount"}]},
        });
        change(&mut spec);
        check(&serde_json::from_value(spec).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn wrong_values_are_named() {
        checked(|_| {}).unwrap();
        for version in ["2.0.0", "", "1", "one.two.three"] {
            let wrong = checked(|spec| spec["ociVersion"] = json!(version)).unwrap_err();
            assert!(wrong.contains("ociVersion"), "{wrong}");
        }
        let wrong = checked(|spec| spec["process"]["cwd"] = json!("relative")).unwrap_err();
        assert!(wrong.contains("process.cwd"), "{wrong}");
        let wrong = checked(|spec| spec["process"]["args"] = json!([])).unwrap_err();
        assert!(wrong.contains("process.args"), "{wrong}");
        checked(|spec| spec["hostname"] = json!("x")).unwrap_err();
    }
}
