//! Finds the sources that words with wildcards mean.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::RootDir;

use super::CopyError;

/// Returns the paths inside `root` that a source means, sorted; links on the way are followed inside
/// the root. `.` is the root itself, and `..` does not lead out of it.
pub(crate) fn find(root: &RootDir, source: &str) -> Result<Vec<PathBuf>, CopyError> {
    let cleaned = berth_context::clean(&format!("/{source}"));
    let parts: Vec<&str> = cleaned.split('/').filter(|part| !part.is_empty()).collect();
    let has_wildcards = parts.iter().any(|part| is_pattern(part));
    let mut found = vec![PathBuf::new()];
    for part in parts {
        found = if is_pattern(part) {
            matches(root, &found, part)?
        } else {
            found.into_iter().map(|path| path.join(part)).collect()
        };
    }
    found.retain(|path| exists(root, path));
    if !found.is_empty() {
        return Ok(found);
    }
    Err(if has_wildcards {
        CopyError::NoMatch {
            pattern: source.to_owned(),
        }
    } else {
        CopyError::NotFound {
            path: source.to_owned(),
            ignored: false,
        }
    })
}

fn exists(root: &RootDir, path: &Path) -> bool {
    // A dangling link is there, too: it is copied as a link.
    root.metadata(path).is_ok() || root.symlink_metadata(path).is_ok()
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '[', '\\'])
}

fn matches(root: &RootDir, found: &[PathBuf], pattern: &str) -> Result<Vec<PathBuf>, CopyError> {
    let mut matching = Vec::new();
    for directory in found {
        for name in names(root, directory)? {
            if fits(pattern, &name) {
                matching.push(directory.join(name));
            }
        }
    }
    Ok(matching)
}

/// The names in a directory; none where it is no directory.
fn names(root: &RootDir, path: &Path) -> Result<Vec<OsString>, CopyError> {
    let names = root.open_dir(path).and_then(|directory| directory.names());
    match names {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        names => names.map_err(CopyError::io("list", path)),
    }
}

/// Whether a name fits a pattern with `*`, `?`, `[…]` and `\`.
fn fits(pattern: &str, name: &OsStr) -> bool {
    let name = String::from_utf8_lossy(name.as_bytes());
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    fits_from(&pattern, &name)
}

fn fits_from(pattern: &[char], name: &[char]) -> bool {
    // Going back to the last star only is enough, and keeps hostile patterns cheap.
    let (mut at, mut taken) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, taken));
            at += 1;
            continue;
        }
        if at == pattern.len() && taken == name.len() {
            return true;
        }
        let step = name.get(taken).and_then(|ch| fits_one(&pattern[at..], *ch));
        match (step, star) {
            (Some(length), _) => {
                at += length;
                taken += 1;
            }
            (None, Some((star_at, star_taken))) if star_taken < name.len() => {
                star = Some((star_at, star_taken + 1));
                at = star_at + 1;
                taken = star_taken + 1;
            }
            (None, _) => return false,
        }
    }
}

/// How many characters of the pattern the character takes up, if it fits.
fn fits_one(pattern: &[char], ch: char) -> Option<usize> {
    match pattern {
        [] => None,
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == ch).then_some(2),
        ['[', rest @ ..] => fits_bracket(rest, ch).map(|length| length + 1),
        [plain, ..] => (*plain == ch).then_some(1),
    }
}

/// As [`fits_one`], behind the `[`. An unclosed bracket fits nothing.
fn fits_bracket(pattern: &[char], ch: char) -> Option<usize> {
    let negated = pattern.first() == Some(&'^');
    let mut at = usize::from(negated);
    let mut inside = false;
    let mut is_first = true;
    loop {
        let low = match (pattern.get(at)?, is_first) {
            (']', false) => break,
            ('\\', _) => {
                at += 1;
                *pattern.get(at)?
            }
            (low, _) => *low,
        };
        at += 1;
        let mut high = low;
        if pattern.get(at) == Some(&'-') && pattern.get(at + 1).is_some_and(|ch| *ch != ']') {
            at += 1;
            at += usize::from(pattern.get(at) == Some(&'\\'));
            high = *pattern.get(at)?;
            at += 1;
        }
        inside |= (low..=high).contains(&ch);
        is_first = false;
    }
    (inside != negated).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::fits;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*.rs", "a.rs", true),
            ("*.rs", "a.r", false),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbY", false),
            ("?", "é", true),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[", "[", false),
            ("a[]b]", "a]", true),
            (".*", ".hidden", true),
            ("*", ".hidden", true),
        ] {
            assert_eq!(
                fits(pattern, OsStr::new(name)),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_is_cheap() {
        let name = "a".repeat(5000);
        assert!(!fits(&("a*".repeat(500) + "b"), OsStr::new(&name)));
    }
}
