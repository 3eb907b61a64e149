//! How many bytes files take.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Returns the sum of the sizes of the regular files below `root`, each counted once. Links are not
/// followed, and what vanishes meanwhile does not count.
pub(crate) fn of_tree(root: &Path) -> u64 {
    let mut total = 0;
    let mut seen = HashSet::new();
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.is_file()
                && (metadata.nlink() < 2 || seen.insert((metadata.dev(), metadata.ino())))
            {
                total += metadata.len();
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once_and_links_do_not() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("d")).expect("folder");
        fs::write(path("d/a"), [0; 100]).expect("file");
        fs::hard_link(path("d/a"), path("b")).expect("link");
        std::os::unix::fs::symlink("/bin/sh", path("s")).expect("link");
        assert_eq!(of_tree(folder.path()), 100);
    }
}
