//! One mounted hierarchy of control groups, of the first version or the second.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cgroups::group;

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    root: PathBuf,
    unified: bool,
    controllers: Vec<String>,
}

/// Returns the hierarchies that are mounted on this host, each once.
pub(super) fn of_this_host() -> io::Result<Vec<Hierarchy>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let kernel = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let mut hierarchies = parse(&mounts, &kernel);
    for hierarchy in hierarchies.iter_mut().filter(|hierarchy| hierarchy.unified) {
        let file = hierarchy.root.join("cgroup.controllers");
        hierarchy.controllers = fs::read_to_string(file)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
    }
    Ok(hierarchies)
}

/// Finds the hierarchies in the text of `mountinfo`; `kernel` is the text of `/proc/cgroups`.
fn parse(mounts: &str, kernel: &str) -> Vec<Hierarchy> {
    let known: Vec<&str> = kernel
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let Some((place, source)) = line.split_once(" - ") else {
            continue;
        };
        let mut source = source.split(' ');
        let unified = match source.next() {
            Some("cgroup") => false,
            Some("cgroup2") => true,
            _ => continue,
        };
        let (Some(root), Some(options)) = (place.split(' ').nth(4), source.nth(1)) else {
            continue;
        };
        let controllers: Vec<String> = options
            .split(',')
            .filter(|option| !unified && (known.contains(option) || option.starts_with("name=")))
            .map(str::to_owned)
            .collect();
        let seen = found
            .iter()
            .any(|other| other.unified == unified && other.controllers == controllers);
        if !seen {
            found.push(Hierarchy {
                root: root.into(),
                unified,
                controllers,
            });
        }
    }
    found
}

impl Hierarchy {
    /// Returns where it is mounted.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Tells whether it is of the second version.
    pub(crate) fn is_unified(&self) -> bool {
        self.unified
    }

    /// Returns the names of its controllers.
    pub(crate) fn controllers(&self) -> &[String] {
        &self.controllers
    }

    /// Tells whether it has controller `name`.
    pub(crate) fn controls(&self, name: &str) -> bool {
        self.controllers.iter().any(|controller| controller == name)
    }

    /// Returns the option with which it is mounted once more.
    pub(crate) fn mount_option(&self) -> String {
        let names = self.controllers.join(",");
        if self
            .controllers
            .iter()
            .all(|name| name.starts_with("name="))
        {
            format!("none,{names}")
        } else {
            names
        }
    }

    /// Lets the children of `groups` have every controller; one that cannot be passed on is missed
    /// only by who needs it, which then says so.
    pub(super) fn open_to_children(&self, groups: &[&Path]) {
        if !self.unified {
            return;
        }
        for group in groups {
            for controller in &self.controllers {
                let file = group.join("cgroup.subtree_control");
                let _unavailable = fs::write(file, format!("+{controller}"));
            }
        }
    }

    /// Gives each group along `way` the processors and memory nodes of the one above it, without
    /// which a group of the first version takes no process.
    pub(super) fn pass_down_processors(&self, way: &[&str]) -> io::Result<()> {
        if self.unified || !self.controls("cpuset") {
            return Ok(());
        }
        let mut above = self.root.clone();
        for step in way {
            let group = above.join(step);
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let has = fs::read_to_string(group.join(file))?;
                if has.trim().is_empty() {
                    fs::write(group.join(file), fs::read_to_string(above.join(file))?)?;
                }
            }
            above = group;
        }
        Ok(())
    }

    /// Limits the memory of `group`.
    pub(super) fn limit_memory(&self, group: &Path, bytes: u64) -> io::Result<()> {
        let file = if self.unified {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        fs::write(group.join(file), bytes.to_string())
    }

    /// Limits the processors of `group`.
    pub(super) fn limit_processors(&self, group: &Path, millicpus: u64) -> io::Result<()> {
        const PERIOD_US: u64 = 100_000;
        let quota = millicpus * (PERIOD_US / 1000);
        if self.unified {
            return fs::write(group.join("cpu.max"), format!("{quota} {PERIOD_US}"));
        }
        fs::write(group.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
        fs::write(group.join("cpu.cfs_quota_us"), quota.to_string())
    }
}

/// Lets everything in `group` and below it run, from the outside in.
///
/// In the first version a frozen process does not even die when it is killed.
pub(crate) fn thaw(group: &Path) -> io::Result<()> {
    let file = group.join("freezer.state");
    // The root of a hierarchy cannot be frozen and has no such file.
    if file.exists() {
        fs::write(file, "THAWED")?;
    }
    for child in group::children(group) {
        match thaw(&child) {
            // Removed while we looked.
            Err(error) if group::is_gone(&error) => {}
            result => result?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "#subsys_name\thierarchy\ncpu\t1\ncpuacct\t1\nmemory\t2\n";

    #[test]
    fn hierarchies_of_both_versions_are_found_once() {
        let mounts = "\
30 25 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 30 0:29 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct
";
        let found = parse(mounts, KERNEL);
        assert_eq!(found.len(), 3);
        assert!(found[0].is_unified());
        assert_eq!(found[1].mount_option(), "none,name=systemd");
        assert_eq!(found[2].mount_option(), "cpu,cpuacct");
        assert!(found[2].controls("cpu") && !found[2].controls("memory"));
    }

    #[test]
    fn the_group_of_a_line_that_says_nothing_is_no_hierarchy() {
        assert!(parse("nonsense\n1 2 3 - cgroup\n", KERNEL).is_empty());
    }
}
