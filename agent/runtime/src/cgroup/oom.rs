//! Whether the kernel has killed for want of memory.

use std::fs;
use std::path::Path;

use super::procs::subdirectories;

/// Returns whether something in a group of version 1, or in one below it, was killed.
pub(super) fn in_any(directory: &Path) -> bool {
    counts(&directory.join("memory.oom_control"))
        || subdirectories(directory).iter().any(|below| in_any(below))
}

/// Returns the same of a group of version 2, which counts what happens below it.
pub(super) fn in_events(directory: &Path) -> bool {
    counts(&directory.join("memory.events"))
}

fn counts(file: &Path) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("oom_kill "))
        .any(|count| count.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_count_wherever_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        let write = |directory: &Path, n: u32| {
            let text = format!("oom_kill_disable 0\nunder_oom 0\noom_kill {n}\n");
            fs::write(directory.join("memory.oom_control"), text).unwrap();
        };
        write(dir.path(), 0);
        write(&below, 0);
        assert!(!in_any(dir.path()));
        write(&below, 2);
        assert!(in_any(dir.path()));
        let events = "low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\noom_group_kill 0\n";
        fs::write(dir.path().join("memory.events"), events).unwrap();
        assert!(!in_events(dir.path()));
        let killed = events.replace("oom_kill 0", "oom_kill 1");
        fs::write(dir.path().join("memory.events"), killed).unwrap();
        assert!(in_events(dir.path()));
    }
}
