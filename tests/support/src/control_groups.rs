//! Control groups of an agent on a machine that it shares with others: known by their names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the control groups that are called like one of `seen`.
pub(crate) fn control_groups(seen: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((folder, depth)) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if seen.contains(entry.file_name().to_string_lossy().as_ref()) {
                found.push(entry.path().to_string_lossy().into_owned());
            } else if depth < 4 {
                left.push((entry.path(), depth + 1));
            }
        }
    }
    found
}

/// Removes the control groups that are called like one of `seen`, as a boot does. Nothing runs in them.
///
/// # Panics
///
/// When one is in use.
pub fn remove_control_groups(seen: &BTreeSet<String>) {
    for group in control_groups(seen) {
        remove_group(Path::new(&group));
    }
}

fn remove_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    // What was killed in it may still be on its way out.
    crate::wait_until("the control group is empty", || {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => false,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                panic!("cannot remove {}: {error}", group.display())
            }
            _ => true,
        }
    });
}
