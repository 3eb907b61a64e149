//! The small text files of the kernel.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Reads files of one directory after the other into one buffer.
#[derive(Debug, Default)]
pub(super) struct Files {
    directory: PathBuf,
    buffer: String,
}

impl Files {
    /// Goes to another directory.
    pub(super) fn enter(&mut self, directory: &Path) {
        directory.clone_into(&mut self.directory);
    }

    /// Returns what a file says; nothing for one that is not there.
    pub(super) fn text(&mut self, name: &str) -> &str {
        self.buffer.clear();
        self.directory.push(name);
        if let Ok(mut file) = File::open(&self.directory) {
            // What could be read before a failure counts.
            drop(file.read_to_string(&mut self.buffer));
        }
        self.directory.pop();
        &self.buffer
    }

    /// Returns the number that is all of a file; 0 for none and for `max`.
    pub(super) fn number(&mut self, name: &str) -> u64 {
        self.text(name).trim().parse().unwrap_or(0)
    }
}

/// Returns the pairs of a file with a name and a number in each line.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (name, number) = line.split_once(' ')?;
        Some((name, number.trim().parse().ok()?))
    })
}
