//! Paths as callers write them: relative to the container's root, and with a meaning of what they
//! end in.

use std::path::{Path, PathBuf};

/// A path that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// From the root on, free of `.` and `..`; empty for the root.
    pub(super) path: PathBuf,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Name,
    /// What is there must be a directory.
    Slash,
    /// What is in that directory is meant.
    Dot,
}

impl Asked {
    pub(super) fn parse(text: &str) -> Self {
        let path = berth_archive::clean(text.as_bytes());
        let last = text.trim_end_matches('/').rsplit('/').next();
        let ending = if last == Some(".") {
            Ending::Dot
        } else if text.ends_with('/') {
            Ending::Slash
        } else {
            Ending::Name
        };
        Self { path, ending }
    }

    /// Whether only a directory can be meant, to which links are followed.
    pub(super) fn is_directory(&self) -> bool {
        self.ending != Ending::Name || self.path.as_os_str().is_empty()
    }

    /// Returns what the members of an archive are below: the last name, `.`, or `/` for the root.
    pub(super) fn base(&self) -> PathBuf {
        match (self.ending, self.path.file_name()) {
            (Ending::Dot, _) => PathBuf::from("."),
            (_, Some(name)) => PathBuf::from(name),
            (_, None) => PathBuf::from("/"),
        }
    }

    /// Returns the same ending on another path.
    pub(super) fn at(&self, path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            ending: self.ending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_the_root_and_keep_their_endings() {
        for (text, path, base, is_directory) in [
            ("etc", "etc", "etc", false),
            ("/etc/", "etc", "etc", true),
            ("/etc/.", "etc", ".", true),
            ("/etc/./", "etc", ".", true),
            ("a/../../b", "b", "b", false),
            ("/", "", "/", true),
            ("", "", "/", true),
            (".", "", ".", true),
            ("/a/..", "", "/", true),
            ("a//b/x.", "a/b/x.", "x.", false),
        ] {
            let asked = Asked::parse(text);
            assert_eq!(asked.path, Path::new(path), "{text}");
            assert_eq!(asked.base(), Path::new(base), "{text}");
            assert_eq!(asked.is_directory(), is_directory, "{text}");
        }
    }
}
