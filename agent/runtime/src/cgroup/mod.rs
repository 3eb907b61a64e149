//! Control groups of one container: version 1, version 2, and the hybrid of both.
//!
//! A container has the same path in every hierarchy that the machine has. What a machine cannot limit ends up in the
//! list of warnings: a container without its limit is better than none, and the caller says so.

mod devices;
mod haste;
mod layout;
mod oom;
mod order;
mod procs;
mod setting;
mod update;
mod v1;
mod v2;
mod watch;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;

use crate::failure::{Failure, step};

pub(crate) use self::haste::get_ready;
pub(crate) use self::layout::Layout;
use self::setting::{Setting, block_throttles, rdma, write_all, write_limit};
pub(crate) use self::watch::{OomCount, hear};

/// Something about a control group failed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}")]
pub(crate) struct CgroupError {
    /// What was being done, for example `writing 5 to`.
    action: String,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl CgroupError {
    fn new(action: impl Into<String>, path: &Path, source: io::Error) -> Self {
        Self {
            action: action.into(),
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn io_error(&self) -> &io::Error {
        &self.source
    }
}

impl From<CgroupError> for Failure {
    /// Names it with its whole chain.
    fn from(error: CgroupError) -> Self {
        Self::from_io(step::CGROUP, &error, error.io_error())
    }
}

/// The control group of one container.
#[derive(Debug)]
pub(crate) struct Cgroup {
    layout: Layout,
    /// Relative to each hierarchy's root.
    path: PathBuf,
}

/// A hierarchy as a container sees it: a name below `/sys/fs/cgroup` and the container's directory in it.
#[derive(Debug)]
pub(crate) struct VisibleHierarchy {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
}

impl Cgroup {
    /// Names the group at `path`, below the root of each hierarchy that the caller sees.
    pub(crate) fn new(layout: Layout, path: &Path) -> Result<Self, CgroupError> {
        let parts: Option<PathBuf> = path
            .components()
            .filter(|part| !matches!(part, Component::RootDir))
            .map(|part| match part {
                Component::Normal(name) => Some(name),
                _ => None,
            })
            .collect();
        match parts {
            Some(parts) if parts.components().next().is_some() => Ok(Self {
                layout,
                path: parts,
            }),
            _ => Err(CgroupError::new(
                "using cgroup path",
                path,
                io::ErrorKind::InvalidInput.into(),
            )),
        }
    }

    /// Makes the group anew in every hierarchy and applies the limits; returns what had no effect.
    ///
    /// Whatever runs in a group that a killed supervisor left behind is ended first.
    pub(crate) fn create(&self, resources: &LinuxResources) -> Result<Vec<String>, CgroupError> {
        if self.directories().any(|directory| directory.exists()) {
            self.kill_all();
        }
        self.create_empty(resources)
    }

    /// Makes the group anew in every hierarchy and applies the limits; returns what had no effect. Fails when somebody
    /// is in a group of that name.
    pub(crate) fn create_empty(
        &self,
        resources: &LinuxResources,
    ) -> Result<Vec<String>, CgroupError> {
        if self.directories().any(|directory| directory.exists()) {
            self.delete()?;
        }
        let mut warnings = Vec::new();
        for hierarchy in &self.layout.v1 {
            v1::create(hierarchy, &self.path)?;
        }
        if let Some(root) = &self.layout.v2 {
            v2::create(root, &self.path, self.layout.is_unified(), &mut warnings)?;
        }
        warnings.extend(self.apply(resources)?);
        Ok(warnings)
    }

    /// Applies limits to the group, which exists, and leaves others as they are; returns what had no effect.
    fn apply(&self, resources: &LinuxResources) -> Result<Vec<String>, CgroupError> {
        let mut warnings = Vec::new();
        match &self.layout.v2 {
            Some(root) if self.layout.is_unified() => {
                v2::apply(&root.join(&self.path), resources, &mut warnings)?;
            }
            // Also where nothing is mounted at all, which it says.
            _ => v1::apply(&self.layout, &self.path, resources, &mut warnings)?,
        }
        Ok(warnings)
    }

    /// Moves a process into the group, in every hierarchy.
    pub(crate) fn join(&self, pid: i32) -> Result<(), CgroupError> {
        for directory in self.directories() {
            write(&directory.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// Moves a process into the group, beside a process that the container may have moved further down.
    ///
    /// A container that manages groups itself (as systemd does) leaves its own group without processes in version 2,
    /// and the kernel lets nobody into it then.
    pub(crate) fn join_beside(&self, pid: i32, member: i32) -> Result<(), CgroupError> {
        let joined = self.join(pid);
        let Some(root) = &self.layout.v2 else {
            return joined;
        };
        match &joined {
            Err(e)
                if matches!(
                    e.source.raw_os_error(),
                    Some(libc::EBUSY | libc::EOPNOTSUPP)
                ) => {}
            _ => return joined,
        }
        let text = fs::read_to_string(format!("/proc/{member}/cgroup")).unwrap_or_default();
        match self.below(&text) {
            Some(below) => write(
                &root.join(&self.path).join(below).join("cgroup.procs"),
                &pid.to_string(),
            ),
            None => joined,
        }
    }

    /// Finds where below the group a process is, in the kernel's list of its groups.
    fn below(&self, list: &str) -> Option<PathBuf> {
        let own = format!("/{}/", self.path.display());
        let unified = list.lines().find_map(|line| line.strip_prefix("0::"))?;
        let (_, below) = unified.split_once(&own)?;
        let is_plain = Path::new(below)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        is_plain.then(|| PathBuf::from(below))
    }

    /// Stops all processes of the group from running, or lets them run on.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), CgroupError> {
        if let Some(hierarchy) = self.layout.hierarchy("freezer") {
            return v1::freeze(&hierarchy.mount.join(&self.path), frozen);
        }
        match &self.layout.v2 {
            Some(root) => v2::freeze(&root.join(&self.path), frozen),
            None => Err(CgroupError::new(
                "freezing",
                &self.path,
                io::ErrorKind::Unsupported.into(),
            )),
        }
    }

    /// Returns whether the kernel killed something in the group for want of memory.
    pub(crate) fn was_out_of_memory(&self) -> bool {
        match (self.layout.hierarchy("memory"), &self.layout.v2) {
            // Version 1 counts in the group of the process that was killed, which the container may have made.
            (Some(hierarchy), _) => oom::count_in_all(&hierarchy.mount.join(&self.path)) > 0,
            (None, Some(root)) => oom::count_in_events(&root.join(&self.path)) > 0,
            (None, None) => false,
        }
    }

    /// Returns the ids of all processes in the group and below it.
    pub(crate) fn members(&self) -> Vec<i32> {
        let directories: Vec<PathBuf> = self.directories().collect();
        procs::members(&directories)
    }

    /// Returns whether the group is stopped from running.
    pub(crate) fn is_frozen(&self) -> bool {
        let (file, wanted) = match (self.layout.hierarchy("freezer"), &self.layout.v2) {
            (Some(h), _) => (h.mount.join(&self.path).join("freezer.state"), "FROZEN"),
            (None, Some(root)) => (root.join(&self.path).join("cgroup.freeze"), "1"),
            (None, None) => return false,
        };
        fs::read_to_string(file).is_ok_and(|state| state.trim() == wanted)
    }

    /// Ends every process of the group, also while it is frozen.
    pub(crate) fn kill_all(&self) {
        let directories: Vec<PathBuf> = self.directories().filter(|d| d.exists()).collect();
        procs::kill_all(&directories, || drop(self.freeze(false)));
    }

    /// Removes the group from every hierarchy; one that is gone already is as good.
    pub(crate) fn delete(&self) -> Result<(), CgroupError> {
        // A process that has just ended keeps its group busy for a moment.
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut result = Ok(());
        for directory in self.directories() {
            let removed = procs::remove_tree(&directory, deadline)
                .map_err(|source| CgroupError::new("removing", &directory, source));
            if result.is_ok() {
                result = removed;
            }
        }
        result
    }

    /// Returns what of the hierarchies the container may see.
    pub(crate) fn visible(&self) -> Vec<VisibleHierarchy> {
        if let (true, Some(root)) = (self.layout.is_unified(), &self.layout.v2) {
            return vec![VisibleHierarchy {
                name: String::new(),
                directory: root.join(&self.path),
            }];
        }
        let v1 = self.layout.v1.iter().map(|h| VisibleHierarchy {
            name: h.name(),
            directory: h.mount.join(&self.path),
        });
        v1.collect()
    }

    /// Returns the group's directories, one for each hierarchy.
    pub(crate) fn directories(&self) -> impl Iterator<Item = PathBuf> {
        let v1 = self.layout.v1.iter().map(|hierarchy| &hierarchy.mount);
        v1.chain(&self.layout.v2)
            .map(|mount| mount.join(&self.path))
    }
}

/// Writes a value to a control file, which must exist.
fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    let result = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| io::Write::write_all(&mut &file, value.as_bytes()));
    result.map_err(|source| CgroupError::new(format!("writing {value} to"), path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_name_of_its_own_below_the_root() {
        let layout = || Layout {
            v1: Vec::new(),
            v2: None,
        };
        for path in ["/", "", "../berth", "/berth/../.."] {
            let error = Cgroup::new(layout(), Path::new(path)).unwrap_err();
            assert_eq!(
                error.io_error().kind(),
                io::ErrorKind::InvalidInput,
                "{path}"
            );
        }
        let group = Cgroup::new(layout(), Path::new("/berth/x")).unwrap();
        let list = "1:cpu:/berth/x\n0::/outer/berth/x/init.scope/deep\n";
        assert_eq!(group.below(list), Some(PathBuf::from("init.scope/deep")));
        assert_eq!(group.below("0::/berth/x/../../other\n"), None);
        assert_eq!(
            Cgroup::new(layout(), Path::new("/berth/x")).unwrap().path,
            Path::new("berth/x")
        );
    }
}
