//! The order in which limits that depend on each other are written.
//!
//! The kernel looks at every single write, not at what it is part of: with version 1 memory must never be more than
//! memory and swap together, and a quota never more than its parent's for the period that is in force right then.

use std::fs;
use std::io;
use std::path::Path;

use super::{CgroupError, write, write_limit};

/// Files of version 1 that limit memory.
const MEMORY: &str = "memory.limit_in_bytes";
const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";

/// Sets the limits of memory, and of memory and swap together; -1 takes one away, nothing leaves it.
pub(super) fn memory_v1(
    directory: &Path,
    memory: Option<i64>,
    both: Option<i64>,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    // No limit of memory below a limit of both would be one all the same.
    let follows = memory == Some(-1) && directory.join(MEMORY_AND_SWAP).exists();
    let both = both.or_else(|| follows.then_some(-1));
    let set_memory = |warnings: &mut Vec<String>| match memory {
        Some(memory) => write_limit(
            directory,
            MEMORY,
            &memory.to_string(),
            "the memory limit",
            warnings,
        )
        .map_err(|error| with_usage(error, directory, memory)),
        None => Ok(()),
    };
    let set_both = |warnings: &mut Vec<String>| match both {
        Some(both) => write_limit(
            directory,
            MEMORY_AND_SWAP,
            &both.to_string(),
            "the swap limit",
            warnings,
        ),
        None => Ok(()),
    };
    if both_first(memory, both, read_number(&directory.join(MEMORY_AND_SWAP))) {
        set_both(warnings)?;
        set_memory(warnings)
    } else {
        set_memory(warnings)?;
        set_both(warnings)
    }
}

/// Returns whether the limit of both has to make room before memory gets its own.
fn both_first(memory: Option<i64>, both: Option<i64>, both_now: Option<u64>) -> bool {
    match (memory, both, both_now) {
        (Some(_), Some(-1), _) => true,
        (Some(-1), Some(_), _) => false,
        (Some(memory), Some(_), Some(now)) => u64::try_from(memory).is_ok_and(|new| new > now),
        _ => false,
    }
}

/// Says how much is used when that is why a limit is refused.
fn with_usage(error: CgroupError, directory: &Path, limit: i64) -> CgroupError {
    if error.source.kind() != io::ErrorKind::ResourceBusy {
        return error;
    }
    let number = |file: &str| read_number(&directory.join(file)).unwrap_or_default();
    let (usage, peak) = (
        number("memory.usage_in_bytes"),
        number("memory.max_usage_in_bytes"),
    );
    CgroupError::new(
        format!(
            "unable to set memory limit to {limit} (current usage: {usage}, peak usage: {peak}) in"
        ),
        &error.path,
        error.source,
    )
}

/// Sets a period and what of it may be used, in microseconds, in files of version 1.
///
/// A new period may be refused for the quota that is still there; it is then set after the new quota.
pub(super) fn period_and_share(
    directory: &Path,
    (period_file, period): (&str, Option<u64>),
    (share_file, share): (&str, Option<i64>),
    what: &str,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let mut late = None;
    if let Some(period) = period {
        match write_limit(directory, period_file, &period.to_string(), what, warnings) {
            Err(e) if share.is_some() && e.source.kind() == io::ErrorKind::InvalidInput => {
                late = Some(period);
            }
            other => other?,
        }
    }
    if let Some(share) = share {
        write_limit(directory, share_file, &share.to_string(), what, warnings)?;
    }
    late.map_or(Ok(()), |period| {
        write(&directory.join(period_file), &period.to_string())
    })
}

/// Returns the value for `cpu.max` of version 2, which has quota and period in one line; what is not asked for stays.
pub(super) fn cpu_max(directory: &Path, quota: Option<i64>, period: Option<u64>) -> Option<String> {
    if quota.is_none() && period.is_none() {
        return None;
    }
    let now = fs::read_to_string(directory.join("cpu.max")).unwrap_or_default();
    let mut now = now.split_whitespace();
    let (quota_now, period_now) = (now.next().unwrap_or("max"), now.next().unwrap_or("100000"));
    let quota = match quota {
        Some(quota) if quota > 0 => quota.to_string(),
        Some(_) => "max".to_owned(),
        None => quota_now.to_owned(),
    };
    let period = period.map_or_else(|| period_now.to_owned(), |period| period.to_string());
    Some(format!("{quota} {period}"))
}

/// Returns the value for `memory.swap.max` of version 2, which counts swap alone, where OCI counts both together.
pub(super) fn swap_max(directory: &Path, memory: Option<i64>, both: Option<i64>) -> Option<String> {
    let both = match (memory, both) {
        (Some(-1), None) => return Some("max".to_owned()),
        (_, both) => both?,
    };
    if both < 0 {
        return Some("max".to_owned());
    }
    let memory = match memory {
        Some(memory) => memory,
        None => i64::try_from(read_number(&directory.join("memory.max"))?).ok()?,
    };
    (memory >= 0).then(|| (both - memory).max(0).to_string())
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn the_limit_of_both_makes_room_first_only_when_memory_needs_it() {
        assert!(both_first(Some(300), Some(400), Some(200)));
        assert!(!both_first(Some(100), Some(150), Some(200)));
        assert!(both_first(Some(100), Some(-1), Some(200)));
        assert!(!both_first(Some(300), None, Some(200)));
        assert!(!both_first(Some(300), Some(400), None));
    }

    #[test]
    fn no_limit_of_memory_is_none_of_both() {
        let dir = group(&[(MEMORY, "100"), (MEMORY_AND_SWAP, "200")]);
        memory_v1(dir.path(), Some(-1), None, &mut Vec::new()).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        // Files that are no control files keep what a shorter write does not cover.
        assert!(read(MEMORY).starts_with("-1"), "{}", read(MEMORY));
        assert!(read(MEMORY_AND_SWAP).starts_with("-1"));
    }

    #[test]
    fn what_is_not_asked_for_stays_in_version_two() {
        let dir = group(&[("cpu.max", "50000 200000\n"), ("memory.max", "1000\n")]);
        let path = dir.path();
        assert_eq!(cpu_max(path, None, None), None);
        assert_eq!(
            cpu_max(path, Some(20_000), None),
            Some("20000 200000".to_owned())
        );
        assert_eq!(
            cpu_max(path, None, Some(80_000)),
            Some("50000 80000".to_owned())
        );
        assert_eq!(cpu_max(path, Some(-1), None), Some("max 200000".to_owned()));
        assert_eq!(swap_max(path, None, Some(1500)), Some("500".to_owned()));
        assert_eq!(
            swap_max(path, Some(1200), Some(1500)),
            Some("300".to_owned())
        );
        assert_eq!(swap_max(path, Some(-1), None), Some("max".to_owned()));
        assert_eq!(swap_max(path, Some(500), None), None);
    }
}
