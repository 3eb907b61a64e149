//! Paths as text, with the meaning that their endings have for a copy: `x/` says that `x` is a
//! folder, and `x/.` means what is in it. Cleaning alone would lose both.

use std::io;
use std::path::Path;

/// Removes `.`, `..` and repeated slashes, as far as that goes without looking at files.
pub(super) fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Returns the last part of a path: `.` for nothing, `/` for the root.
pub(crate) fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "." } else { "/" };
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

/// Whether the contents of the folder are meant.
pub(super) fn means_contents(path: &str) -> bool {
    base(path) == "."
}

pub(super) fn ends_in_slash(path: &str) -> bool {
    path.ends_with('/')
}

/// Whether the path says of itself that it is a folder.
pub(super) fn says_folder(path: &str) -> bool {
    ends_in_slash(path) || means_contents(path)
}

/// Gives a cleaned path the ending of the original one.
pub(super) fn with_ending(mut cleaned: String, original: &str) -> String {
    if !means_contents(&cleaned) && means_contents(original) {
        if !ends_in_slash(&cleaned) {
            cleaned.push('/');
        }
        cleaned.push('.');
    }
    if !ends_in_slash(&cleaned) && ends_in_slash(original) {
        cleaned.push('/');
    }
    cleaned
}

/// Splits off the last part, after cleaning; `.` stays when the contents are meant.
pub(super) fn split(path: &str) -> (String, String) {
    let mut cleaned = clean(path);
    if means_contents(path) {
        cleaned.push_str("/.");
    }
    let parent = match cleaned.trim_end_matches('/').rfind('/') {
        Some(0) => "/".to_owned(),
        Some(at) => clean(&cleaned[..at]),
        None if cleaned.starts_with('/') => "/".to_owned(),
        None => ".".to_owned(),
    };
    (parent, base(&cleaned).to_owned())
}

/// Returns the path from the root on, with its ending.
pub(crate) fn resolve(path: &str) -> io::Result<String> {
    let absolute = if path.starts_with('/') {
        path.to_owned()
    } else {
        let here = std::env::current_dir()?;
        format!("{}/{path}", here.to_string_lossy())
    };
    Ok(with_ending(clean(&absolute), path))
}

/// Follows every link; the result is cleaned.
pub(super) fn evaluate(path: &str) -> io::Result<String> {
    let found = std::fs::canonicalize(Path::new(path))?;
    Ok(found.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_split_as_gos() {
        for (path, cleaned, parent, last) in [
            ("/a/b", "/a/b", "/a", "b"),
            ("/a/b/", "/a/b", "/a", "b"),
            ("/a/b/.", "/a/b", "/a/b", "."),
            ("a/../b//c", "b/c", "b", "c"),
            ("../../a", "../../a", "../..", "a"),
            ("/../a", "/a", "/", "a"),
            ("/", "/", "/", "/"),
            (".", ".", ".", "."),
            ("a", "a", ".", "a"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
            assert_eq!(split(path), (parent.to_owned(), last.to_owned()), "{path}");
        }
    }

    #[test]
    fn endings_are_kept() {
        for (path, expected) in [
            ("/a/./b", "/a/b"),
            ("/a/b//", "/a/b/"),
            ("/a/b/.", "/a/b/."),
            ("/a/..", "/"),
            ("/a/../.", "/."),
        ] {
            assert_eq!(resolve(path).expect("path"), expected, "{path}");
        }
    }
}
