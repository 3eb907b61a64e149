//! Memory.

use std::fs;

use super::MemoryCounters;
use super::text::{Files, pairs};

pub(super) fn read_v1(files: &mut Files) -> MemoryCounters {
    MemoryCounters {
        usage_bytes: files.number("memory.usage_in_bytes"),
        max_usage_bytes: files.number("memory.max_usage_in_bytes"),
        limit_bytes: files.number("memory.limit_in_bytes"),
        failures: files.number("memory.failcnt"),
        details: details(files),
    }
}

pub(super) fn read_unified(files: &mut Files) -> MemoryCounters {
    let events = pairs(files.text("memory.events"));
    let failures = events.filter(|(name, _)| *name == "oom").map(|(_, n)| n);
    let failures = failures.sum();
    MemoryCounters {
        usage_bytes: files.number("memory.current"),
        max_usage_bytes: 0,
        limit_bytes: files.number("memory.max"),
        failures,
        details: details(files),
    }
}

fn details(files: &mut Files) -> Vec<(String, u64)> {
    pairs(files.text("memory.stat"))
        .map(|(name, number)| (name.to_owned(), number))
        .collect()
}

/// Returns the machine's memory in bytes; the largest number if it does not say.
pub(super) fn of_machine() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = total.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
    kibibytes.map_or(u64::MAX, |n: u64| n * 1024)
}

impl MemoryCounters {
    /// Returns what is in use without the caches that the kernel would give up first.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let find = |wanted: &str| self.details.iter().find(|(name, _)| name == wanted);
        let cache = find("total_inactive_file").or_else(|| find("inactive_file"));
        match cache {
            Some((_, cache)) if *cache < self.usage_bytes => self.usage_bytes - cache,
            _ => self.usage_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_two_says_the_same_in_other_files() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("memory.current", "5000\n"),
            ("memory.max", "max\n"),
            ("memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n"),
            ("memory.stat", "anon 100\ninactive_file 4000\n"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut files = Files::default();
        files.enter(dir.path());
        let memory = read_unified(&mut files);
        assert_eq!((memory.limit_bytes, memory.failures), (0, 2));
        assert_eq!(memory.used_bytes(), 1000);
    }
}
