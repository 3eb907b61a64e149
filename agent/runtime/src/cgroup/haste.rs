//! Having the kernel ready for a process that is about to be moved into a group.
//!
//! The first move after a while waits for every processor to pass through a quiet state (an RCU grace period, around
//! 10 ms), the next ones, for about as long, do not. Whoever knows early that a container will start therefore moves
//! something at once, for nothing, and the move that matters finds the wait over.

use std::fs;
use std::path::PathBuf;

use super::{Layout, write};

/// Moves this process to where it is. Blocks until the kernel is ready; a failure only means that nothing is gained.
pub(crate) fn get_ready() {
    let own = std::process::id().to_string();
    let Some(file) = own_members() else { return };
    // A table of mounts can mislead, and this process is not to be moved anywhere else.
    let is_here = fs::read_to_string(&file).is_ok_and(|list| list.lines().any(|pid| pid == own));
    if is_here {
        // Where nothing may be moved, the kernel says so after the wait.
        drop(write(&file, &own));
    }
}

/// Finds the list of members of the group that this process is in, in any one hierarchy.
fn own_members() -> Option<PathBuf> {
    let layout = Layout::detect().ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    layout.members_file(&groups)
}

impl Layout {
    fn members_file(&self, groups: &str) -> Option<PathBuf> {
        let mut entries = groups.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        });
        let (mount, group) = entries.find_map(|(controllers, group)| {
            let mount = if controllers.is_empty() {
                self.v2.as_ref()
            } else {
                let is_it =
                    |own: &&super::layout::Hierarchy| own.controllers.join(",") == controllers;
                self.v1.iter().find(is_it).map(|own| &own.mount)
            };
            Some((mount?, group))
        })?;
        Some(
            mount
                .join(group.trim_start_matches('/'))
                .join("cgroup.procs"),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::layout::Hierarchy;
    use super::*;

    #[test]
    fn the_members_file_is_of_a_hierarchy_that_is_mounted() {
        let layout = Layout {
            v1: vec![Hierarchy {
                controllers: vec!["cpu".to_owned(), "cpuacct".to_owned()],
                mount: "/c/cpu".into(),
            }],
            v2: None,
        };
        let groups = "7:pids:/x\n3:cpu,cpuacct:/system.slice/berthd.service\n0::/y\n";
        assert_eq!(
            layout.members_file(groups).as_deref(),
            Some(Path::new("/c/cpu/system.slice/berthd.service/cgroup.procs"))
        );
        let unified = Layout {
            v1: Vec::new(),
            v2: Some("/c".into()),
        };
        assert_eq!(
            unified.members_file("0::/\n").as_deref(),
            Some(Path::new("/c/cgroup.procs"))
        );
        assert_eq!(unified.members_file("3:cpu:/\n"), None);
    }

    #[test]
    fn getting_ready_moves_nothing() {
        let groups = || fs::read_to_string("/proc/self/cgroup").unwrap();
        let before = groups();
        assert!(own_members().is_some_and(|file| file.exists()));
        get_ready();
        assert_eq!(groups(), before);
    }
}
