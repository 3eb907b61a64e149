//! The patterns of `${name#…}`, `${name%…}` and `${name/…/…}`: `*` and `?`, no brackets.

use regex::{NoExpand, Regex};

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// An escape before a character that needs none.
    #[error("invalid escape '\\{0}'")]
    Escape(char),
    /// The pattern is larger than the matcher allows.
    #[error("too large")]
    TooLarge,
}

/// How much `*` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

type Outcome = Result<String, (String, BadPattern)>;

pub(super) fn trim_start(value: &str, pattern: &str, greed: Greed) -> Outcome {
    let regex = compile(pattern, greed, true)?;
    Ok(regex
        .find(value)
        .map_or(value, |found| &value[found.end()..])
        .to_owned())
}

/// Works on mirrored texts, as only the leftmost match can be the shortest.
pub(super) fn trim_end(value: &str, pattern: &str, greed: Greed) -> Outcome {
    let mirrored: String = value.chars().rev().collect();
    let trimmed = trim_start(&mirrored, &mirror(pattern), greed)?;
    Ok(trimmed.chars().rev().collect())
}

pub(super) fn replace(value: &str, pattern: &str, replacement: &str, all: bool) -> Outcome {
    let regex = compile(pattern, Greed::Longest, false)?;
    let limit = usize::from(!all);
    Ok(regex
        .replacen(value, limit, NoExpand(replacement))
        .into_owned())
}

/// Mirrors a pattern, but leaves every escape before what it escapes.
fn mirror(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut groups: Vec<&[char]> = Vec::new();
    let mut rest = chars.as_slice();
    while !rest.is_empty() {
        let length = if rest[0] == '\\' && rest.len() > 1 {
            2
        } else {
            1
        };
        let (group, behind) = rest.split_at(length);
        groups.push(group);
        rest = behind;
    }
    groups.into_iter().rev().flatten().collect()
}

fn compile(pattern: &str, greed: Greed, at_start: bool) -> Result<Regex, (String, BadPattern)> {
    let bad = |problem| (pattern.to_owned(), problem);
    let mut regex = String::from(if at_start { "^" } else { "" });
    let mut chars = pattern.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            '*' => regex.push_str(if greed == Greed::Longest { ".*" } else { ".*?" }),
            '?' => regex.push('.'),
            // `}` and `/` are escaped because of the form around the pattern.
            '\\' if matches!(chars.peek(), Some('}' | '/')) => {}
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '?' | '\\')) => regex.extend(['\\', escaped]),
                other => {
                    let other = other.unwrap_or(char::REPLACEMENT_CHARACTER);
                    return Err(bad(BadPattern::Escape(other)));
                }
            },
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    // Everything is escaped, so that only the size can be wrong.
    Regex::new(&regex).or(Err(bad(BadPattern::TooLarge)))
}
