//! Whether what is mounted on the machine can appear in a container, and the reverse: both need a
//! mount of the machine that takes part.

use std::fs;
use std::path::{Path, PathBuf};

use crate::start::error::StartError;

/// Checks that the machine's mount takes part in the propagation that is asked for.
pub(super) fn check(source: &Path, propagation: &str) -> Result<(), StartError> {
    let wanted: &[&str] = match propagation {
        "shared" | "rshared" => &["shared:"],
        "slave" | "rslave" => &["shared:", "master:"],
        _ => return Ok(()),
    };
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let real = fs::canonicalize(source).unwrap_or_else(|_gone| source.to_owned());
    let Some((place, tags)) = mount_of(&text, &real) else {
        return Ok(());
    };
    if tags
        .iter()
        .any(|tag| wanted.iter().any(|w| tag.starts_with(w)))
    {
        return Ok(());
    }
    let kind = if wanted.len() == 1 {
        "shared"
    } else {
        "shared or slave"
    };
    Err(StartError::Propagation {
        path: source.to_owned(),
        place,
        kind,
    })
}

/// Returns where the mount is that a path is on, and the tags of its propagation.
fn mount_of(mountinfo: &str, path: &Path) -> Option<(PathBuf, Vec<String>)> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, _) = line.split_once(" - ")?;
        let mut words = before.split(' ');
        let place = words.nth(4)?.replace("\\040", " ");
        let tags = words.skip(1).map(str::to_owned).collect();
        Some((PathBuf::from(place), tags))
    });
    // Of several at one place the last is on top.
    mounts
        .filter(|(place, _): &(PathBuf, Vec<String>)| path.starts_with(place))
        .max_by_key(|(place, _)| place.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_counts_and_the_one_on_top() {
        let text = "1 0 0:1 / / rw shared:1 - ext4 a rw\n\
                    2 1 0:2 / /data rw - ext4 b rw\n\
                    3 1 0:3 / /data rw master:7 - ext4 b rw\n";
        let (place, tags) = mount_of(text, Path::new("/data/x")).expect("found");
        assert_eq!(
            (place, tags),
            (PathBuf::from("/data"), vec!["master:7".to_owned()])
        );
        let (place, tags) = mount_of(text, Path::new("/database")).expect("found");
        assert_eq!(
            (place, tags),
            (PathBuf::from("/"), vec!["shared:1".to_owned()])
        );
    }
}
