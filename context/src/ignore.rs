//! The list of patterns that a `.dockerignore` holds; the last one that matches decides.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::pattern::{Pattern, PatternError};

/// A pattern that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("pattern {pattern:?}")]
pub struct IgnoreError {
    /// The pattern as it stands in the file.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    pub source: PatternError,
}

/// Why the ignore file of a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadIgnoreError {
    /// It is there, but cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It holds something that is no pattern.
    #[error("in {}", path.display())]
    Pattern {
        /// The file.
        path: PathBuf,
        /// The line at fault.
        #[source]
        source: IgnoreError,
    },
}

/// Which paths of a context stay behind.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// Splits the text of a `.dockerignore` into patterns: comments and empty lines go, paths become
/// relative to the context and lose `.` and `..`.
#[must_use]
pub fn ignore_file(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(ignore_line)
        .collect()
}

fn ignore_line(line: &str) -> Option<String> {
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    let (mark, pattern) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    if pattern.is_empty() {
        return Some(mark.to_owned());
    }
    let cleaned = crate::clean(pattern);
    let relative = match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest,
        _ => &cleaned,
    };
    Some(format!("{mark}{relative}"))
}

// === impl Ignore ===

impl Ignore {
    /// Builds the list from patterns in their order.
    ///
    /// # Errors
    ///
    /// One of them does not follow the syntax.
    pub fn from_patterns<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, IgnoreError> {
        let mut list = Vec::new();
        for text in patterns {
            let parsed = Pattern::parse(text).map_err(|source| IgnoreError {
                pattern: text.to_owned(),
                source,
            })?;
            list.extend(parsed);
        }
        Ok(Self { patterns: list })
    }

    /// Reads the text of a `.dockerignore`.
    ///
    /// # Errors
    ///
    /// A line does not follow the syntax.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let patterns = ignore_file(text);
        Self::from_patterns(patterns.iter().map(String::as_str))
    }

    /// Reads the ignore file that applies: the Dockerfile's own (`NAME.dockerignore` beside it), or
    /// the context's `.dockerignore`; nothing is ignored when there is neither.
    ///
    /// # Errors
    ///
    /// The file cannot be read or understood.
    pub fn load(context: &Path, dockerfile: Option<&Path>) -> Result<Self, LoadIgnoreError> {
        let own = dockerfile.map(|dockerfile| {
            let mut name = context.join(dockerfile).into_os_string();
            name.push(".dockerignore");
            PathBuf::from(name)
        });
        let shared = context.join(".dockerignore");
        for path in own.into_iter().chain([shared]) {
            match fs::read(&path) {
                Ok(bytes) => {
                    return Self::parse(&String::from_utf8_lossy(&bytes))
                        .map_err(|source| LoadIgnoreError::Pattern { path, source });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(LoadIgnoreError::Read { path, source }),
            }
        }
        Ok(Self::default())
    }

    /// Whether the path (clean, relative to the context) stays behind.
    ///
    /// A path is also matched by a pattern that matches one of its parents. The context itself is
    /// never ignored.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        if path == "." {
            return false;
        }
        let mut ignored = false;
        for pattern in &self.patterns {
            // A pattern that would not change the verdict need not be looked at.
            if pattern.takes_back() == ignored
                && (pattern.matches(path) || parents(path).any(|dir| pattern.matches(dir)))
            {
                ignored = !pattern.takes_back();
            }
        }
        ignored
    }

    /// Whether something below an ignored directory could be taken back by a later `!` pattern, so
    /// that a walk has to look inside.
    #[must_use]
    pub fn may_take_back_below(&self, directory: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern.takes_back() && pattern.could_match_below(directory))
    }
}

/// The directories above a path, outermost first.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/')
        .map(|(at, _)| if at == 0 { "/" } else { &path[..at] })
}

#[cfg(test)]
mod tests {
    use super::{Ignore, ignore_file};

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_pattern() {
        assert_eq!(ignore_file("\u{feff}a\r\nb\r\n"), ["a", "b"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let ignore = Ignore::parse("*.md\n!README.md\nREADME.md\n").expect("valid");
        assert!(ignore.matches("README.md"));
        let ignore = Ignore::parse("*.md\n!README.md\n").expect("valid");
        assert!(!ignore.matches("README.md"));
        assert!(ignore.matches("other.md"));
    }

    #[test]
    fn a_dockerfile_with_its_own_ignore_file_does_not_see_the_shared_one() {
        let context = tempfile::tempdir().expect("temp dir");
        std::fs::write(context.path().join(".dockerignore"), "shared").expect("write");
        std::fs::write(context.path().join("A.dockerignore"), "own").expect("write");
        let own = Ignore::load(context.path(), Some("A".as_ref())).expect("load");
        assert!(own.matches("own") && !own.matches("shared"));
        let shared = Ignore::load(context.path(), Some("B".as_ref())).expect("load");
        assert!(shared.matches("shared") && !shared.matches("own"));
    }

    #[test]
    fn a_lone_exclamation_mark_is_refused_by_name() {
        let error = Ignore::parse("a\n!\n").expect_err("no pattern");
        assert_eq!(error.pattern, "!");
    }
}
