//! One line of `.dockerignore`: its syntax, and which paths it matches.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Why a line of `.dockerignore` is no pattern.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// A lone `!` takes nothing back.
    #[error("illegal exclusion pattern: \"!\"")]
    LoneExclamationMark,
    /// A bracket is not closed, a range is not finished or an escape escapes nothing.
    #[error("syntax error in pattern")]
    Syntax,
    /// The pattern is larger than the matcher allows.
    #[error("pattern too large")]
    TooLarge(#[source] Box<regex::Error>),
}

/// A pattern of `.dockerignore`: `*` and `?` stay within one name, `**` crosses them.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    takes_back: bool,
    matcher: Matcher,
}

/// How paths are compared. Most patterns need no regular expression.
#[derive(Debug, Clone)]
enum Matcher {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Regex(Regex),
}

// === impl Pattern ===

impl Pattern {
    /// Reads one pattern; `None` when there is nothing but space.
    ///
    /// # Errors
    ///
    /// The text does not follow the syntax.
    pub fn parse(line: &str) -> Result<Option<Self>, PatternError> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(None);
        }
        let cleaned = crate::clean(line);
        let (takes_back, text) = match cleaned.strip_prefix('!') {
            Some("") => return Err(PatternError::LoneExclamationMark),
            Some(rest) => (true, rest.to_owned()),
            None => (false, cleaned),
        };
        check_syntax(&text)?;
        let matcher = compile(&text)?;
        Ok(Some(Self {
            text,
            takes_back,
            matcher,
        }))
    }

    /// Whether the pattern began with `!`, so that it takes paths back out of the ignored ones.
    #[must_use]
    pub fn takes_back(&self) -> bool {
        self.takes_back
    }

    /// The pattern without its `!`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this very path matches (its parents are not considered).
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact(text) => path == text,
            Matcher::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Matcher::Suffix(suffix) => {
                path.ends_with(suffix.as_str())
                    || suffix.strip_prefix('/').is_some_and(|name| path == name)
            }
            Matcher::Regex(regex) => regex.is_match(path),
        }
    }

    /// Whether a path below `directory` could match; may say yes too often, never no.
    #[must_use]
    pub fn could_match_below(&self, directory: &str) -> bool {
        let mut names = directory.split('/');
        for part in self.text.split('/') {
            if part.contains("**") {
                return true;
            }
            let Some(name) = names.next() else {
                return true;
            };
            let fits = check_syntax(part).is_err()
                || compile(part).is_ok_and(|matcher| {
                    Self {
                        text: String::new(),
                        takes_back: false,
                        matcher,
                    }
                    .matches(name)
                });
            if !fits {
                return false;
            }
        }
        true
    }
}

/// Checks brackets and escapes. The grammar is the shell's, with `^` for negation.
fn check_syntax(text: &str) -> Result<(), PatternError> {
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            '\\' => {
                chars.next().ok_or(PatternError::Syntax)?;
            }
            '[' => check_bracket(&mut chars)?,
            _ => {}
        }
    }
    Ok(())
}

/// Checks what follows `[`, up to and with the `]`.
fn check_bracket(chars: &mut Peekable<Chars<'_>>) -> Result<(), PatternError> {
    chars.next_if_eq(&'^');
    let mut ranges = 0;
    loop {
        if ranges > 0 && chars.next_if_eq(&']').is_some() {
            return Ok(());
        }
        let low = bracket_char(chars)?;
        if chars.next_if_eq(&'-').is_some() {
            let high = bracket_char(chars)?;
            if high < low {
                return Err(PatternError::Syntax);
            }
        }
        ranges += 1;
    }
}

/// Reads one end of a range.
fn bracket_char(chars: &mut Peekable<Chars<'_>>) -> Result<char, PatternError> {
    match chars.next() {
        None | Some('-' | ']') => Err(PatternError::Syntax),
        Some('\\') => chars.next().ok_or(PatternError::Syntax),
        Some(other) => Ok(other),
    }
}

/// Chooses the cheapest matcher that means the same as the pattern.
fn compile(text: &str) -> Result<Matcher, PatternError> {
    let special = |part: &str| part.contains(['*', '?', '[', ']', '\\']);
    if !special(text) {
        return Ok(Matcher::Exact(text.to_owned()));
    }
    if let Some(prefix) = text.strip_suffix("**")
        && !prefix.is_empty()
        && !special(prefix)
    {
        return Ok(Matcher::Prefix(prefix.to_owned()));
    }
    if let Some(suffix) = text.strip_prefix("**")
        && !special(suffix)
    {
        return Ok(Matcher::Suffix(suffix.to_owned()));
    }
    Regex::new(&to_regex(text))
        .map(Matcher::Regex)
        .map_err(|source| PatternError::TooLarge(Box::new(source)))
}

/// Writes the pattern as a regular expression over the whole path.
fn to_regex(text: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                // At the end everything follows; in the middle any number of whole names, none too.
                regex.push_str(if chars.peek().is_none() {
                    ".*"
                } else {
                    "(.*/)?"
                });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => push_bracket(&mut regex, &mut chars),
            '\\' => push_literal(&mut regex, chars.next().unwrap_or('\\')),
            other => push_literal(&mut regex, other),
        }
    }
    regex.push('$');
    regex
}

/// Copies a bracket that [`check_bracket`] has accepted.
fn push_bracket(regex: &mut String, chars: &mut Peekable<Chars<'_>>) {
    regex.push('[');
    if chars.next_if_eq(&'^').is_some() {
        regex.push('^');
    }
    while let Some(ch) = chars.next() {
        match ch {
            ']' => break,
            '-' => regex.push('-'),
            '\\' => push_literal(regex, chars.next().unwrap_or('\\')),
            other => push_literal(regex, other),
        }
    }
    regex.push(']');
}

fn push_literal(regex: &mut String, ch: char) {
    regex.push_str(&regex::escape(ch.encode_utf8(&mut [0; 4])));
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("valid").expect("not empty")
    }

    #[test]
    fn directories_that_a_pattern_could_reach_into_are_known() {
        for (text, directory, expected) in [
            ("!a/b/c", "a", true),
            ("!a/b/c", "a/b", true),
            ("!a/b/c", "x", false),
            ("!a/b/c", "a/x", false),
            ("!*/c", "anything", true),
            ("!a*/c", "b", false),
            ("!**/c", "x/y/z", true),
            ("!a", "a/b", true),
        ] {
            assert_eq!(
                pattern(text).could_match_below(directory),
                expected,
                "{text} {directory}"
            );
        }
    }

    #[test]
    fn characters_special_to_regular_expressions_mean_themselves() {
        assert!(pattern("a.c*").matches("a.cd"));
        assert!(!pattern("a.c*").matches("abcd"));
        assert!(pattern("[a&&b]*").matches("&x"));
        assert!(pattern("[[]*").matches("[x"));
        assert!(pattern("\\d*").matches("d1"));
    }
}
