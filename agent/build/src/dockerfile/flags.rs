//! `--name=value` words between a keyword and its arguments.

use std::collections::BTreeMap;

use super::SyntaxProblem;
use super::suggest::suggestion;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagKind {
    /// Nothing, `true` or `false`.
    Switch,
    /// One value.
    Text,
    /// A value each time that it is given.
    Many,
}

/// The flags of a statement, checked against those that its instruction knows.
#[derive(Debug, Default)]
pub(super) struct Flags {
    values: BTreeMap<&'static str, Vec<String>>,
}

// === impl Flags ===

impl Flags {
    pub(super) fn check(
        given: &[String],
        known: &[(&'static str, FlagKind)],
    ) -> Result<Self, SyntaxProblem> {
        let mut flags = Self::default();
        for flag in given {
            let body = flag.strip_prefix("--").unwrap_or(flag);
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (body, None),
            };
            let Some(&(known_name, kind)) = known.iter().find(|(known, _)| *known == name) else {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                return Err(SyntaxProblem::UnknownFlag {
                    flag: name.to_owned(),
                    hint: suggestion(name, &names, true),
                });
            };
            let values = flags.values.entry(known_name).or_default();
            if !values.is_empty() && kind != FlagKind::Many {
                return Err(SyntaxProblem::FlagTwice(name.to_owned()));
            }
            values.push(flag_value(name, value, kind)?);
        }
        Ok(flags)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.all(name).first().cloned().unwrap_or_default()
    }

    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.all(name).first().map(|value| value == "true")
    }

    pub(super) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn used(&self) -> Vec<String> {
        self.values.keys().map(|name| (*name).to_owned()).collect()
    }
}

fn flag_value(name: &str, value: Option<&str>, kind: FlagKind) -> Result<String, SyntaxProblem> {
    match (kind, value) {
        (FlagKind::Switch, None) => Ok("true".to_owned()),
        (FlagKind::Switch, Some(value)) if !value.is_empty() => {
            let lower = value.to_ascii_lowercase();
            if lower == "true" || lower == "false" {
                Ok(lower)
            } else {
                Err(SyntaxProblem::FlagNotBoolean {
                    flag: name.to_owned(),
                    value: value.to_owned(),
                })
            }
        }
        (FlagKind::Text | FlagKind::Many, Some(value)) => Ok(value.to_owned()),
        (_, _) => Err(SyntaxProblem::FlagWithoutValue(name.to_owned())),
    }
}

/// Takes the words that begin with `--` off the front; `--` alone ends them. Quotes and backslashes
/// hold a value together and go away.
pub(super) fn split_flags(rest: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = rest.trim_start();
    while rest.starts_with("--") {
        let (word, behind) = flag_word(rest);
        rest = behind.trim_start();
        if word == "--" {
            break;
        }
        flags.push(word);
    }
    (flags, rest)
}

fn flag_word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    while let Some((at, ch)) = chars.next() {
        match quote {
            None if ch.is_whitespace() => return (word, &text[at..]),
            None if ch == '\'' || ch == '"' => quote = Some(ch),
            Some(open) if ch == open => quote = None,
            _ if ch == '\\' => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => word.push(ch),
        }
    }
    (word, "")
}
