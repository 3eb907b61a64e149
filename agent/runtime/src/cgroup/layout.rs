//! Which hierarchies a machine has mounted, and where.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A hierarchy of version 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hierarchy {
    /// Its controllers, or `name=…` for one without.
    pub(super) controllers: Vec<String>,
    pub(super) mount: PathBuf,
}

impl Hierarchy {
    /// Returns where it is mounted.
    pub(crate) fn mount(&self) -> &Path {
        &self.mount
    }

    /// Returns the usual name of its directory below `/sys/fs/cgroup`.
    pub(super) fn name(&self) -> String {
        let names: Vec<&str> = self
            .controllers
            .iter()
            .map(|c| c.strip_prefix("name=").unwrap_or(c))
            .collect();
        names.join(",")
    }
}

/// All hierarchies of a machine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Layout {
    pub(super) v1: Vec<Hierarchy>,
    pub(crate) v2: Option<PathBuf>,
}

const CONTROLLERS: [&str; 14] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
    "misc",
];

impl Layout {
    /// Reads the mount table of this process.
    pub(crate) fn detect() -> io::Result<Self> {
        fs::read_to_string("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    /// Returns whether version 2 does all the work.
    pub(crate) fn is_unified(&self) -> bool {
        self.v1
            .iter()
            .all(|hierarchy| hierarchy.controllers.iter().all(|c| c.starts_with("name=")))
    }

    /// Returns the hierarchy of version 1 that has this controller.
    pub(crate) fn hierarchy(&self, controller: &str) -> Option<&Hierarchy> {
        self.v1
            .iter()
            .find(|hierarchy| hierarchy.controllers.iter().any(|c| c == controller))
    }

    fn parse(mountinfo: &str) -> Self {
        let mut layout = Self::default();
        for line in mountinfo.lines() {
            let Some((place, filesystem)) = line.split_once(" - ") else {
                continue;
            };
            let Some(mount) = place.split(' ').nth(4).map(unescape) else {
                continue;
            };
            let mut words = filesystem.split(' ');
            match words.next() {
                Some("cgroup2") if layout.v2.is_none() => layout.v2 = Some(mount),
                Some("cgroup") => layout.add(mount, words.nth(1).unwrap_or_default()),
                _ => {}
            }
        }
        layout
    }

    fn add(&mut self, mount: PathBuf, options: &str) {
        let is_controller =
            |option: &&str| CONTROLLERS.contains(option) || option.starts_with("name=");
        let controllers: Vec<String> = options
            .split(',')
            .filter(is_controller)
            .map(str::to_owned)
            .collect();
        let known = |h: &Hierarchy| h.controllers == controllers;
        if !controllers.is_empty() && !self.v1.iter().any(known) {
            self.v1.push(Hierarchy { controllers, mount });
        }
    }
}

/// Undoes the octal escapes of the mount table.
fn unescape(word: &str) -> PathBuf {
    PathBuf::from(
        word.replace("\\040", " ")
            .replace("\\011", "\t")
            .replace("\\012", "\n")
            .replace("\\134", "\\"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_has_both_versions() {
        let layout = Layout::parse(
            "30 24 0:26 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755\n\
             31 30 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw\n\
             32 30 0:28 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd\n\
             33 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct\n\
             34 30 0:31 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct\n",
        );
        assert_eq!(layout.v2, Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert!(!layout.is_unified());
        let names: Vec<String> = layout.v1.iter().map(Hierarchy::name).collect();
        assert_eq!(names, ["systemd", "cpu,cpuacct"]);
        assert_eq!(
            layout.hierarchy("cpuacct").map(|h| h.mount.clone()),
            Some("/sys/fs/cgroup/cpu,cpuacct".into())
        );
    }

    #[test]
    fn a_named_hierarchy_alone_leaves_the_work_to_version_two() {
        let layout = Layout::parse(
            "31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n32 30 0:28 / /run/elogind rw - cgroup c rw,name=elogind\n",
        );
        assert!(layout.is_unified());
    }
}
