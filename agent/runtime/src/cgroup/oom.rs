//! Whether the kernel has killed for want of memory.

use std::fs;
use std::path::Path;

use super::procs::subdirectories;

/// Returns how much was killed in a group of version 1 and in those below it.
pub(super) fn count_in_all(directory: &Path) -> u64 {
    let below = subdirectories(directory);
    let below: u64 = below.iter().map(|below| count_in_all(below)).sum();
    count(&directory.join("memory.oom_control")) + below
}

/// Returns the same of a group of version 2, which counts what happens below it.
pub(super) fn count_in_events(directory: &Path) -> u64 {
    count(&directory.join("memory.events"))
}

fn count(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("oom_kill "))
        .filter_map(|count| count.trim().parse::<u64>().ok())
        .sum()
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
        assert_eq!(count_in_all(dir.path()), 0);
        write(&below, 2);
        assert_eq!(count_in_all(dir.path()), 2);
        let events = "low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\noom_group_kill 0\n";
        fs::write(dir.path().join("memory.events"), events).unwrap();
        assert_eq!(count_in_events(dir.path()), 0);
        let killed = events.replace("oom_kill 0", "oom_kill 1");
        fs::write(dir.path().join("memory.events"), killed).unwrap();
        assert_eq!(count_in_events(dir.path()), 1);
    }
}
