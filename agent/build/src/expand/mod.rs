//! Quotes, escapes and variables in the arguments of instructions.
//!
//! The language is a part of the shell's: `'…'`, `"…"`, an escape character, `$name`, `${name}` and
//! the forms `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`. Nothing is ever executed.

mod pattern;
mod words;

use std::collections::BTreeMap;

use self::pattern::{BadPattern, Greed};
use self::words::Words;
use crate::quote::quoted;

/// The values that `$name` stands for.
pub type Variables = BTreeMap<String, String>;

/// A word that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {}: {problem}", quoted(word))]
pub struct ExpandError {
    /// The word as written.
    pub word: String,
    /// What is wrong with it.
    pub problem: ExpandProblem,
}

/// What can be wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandProblem {
    /// `'` without its partner.
    #[error("unexpected end of statement while looking for matching single-quote")]
    OpenSingleQuote,
    /// `"` without its partner.
    #[error("unexpected end of statement while looking for matching double-quote")]
    OpenDoubleQuote,
    /// A form that does not reach its end.
    #[error("unexpected end of statement while looking for matching {0}")]
    Open(char),
    /// `${…` without `}`.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// `${name/…` without the second slash.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}` and the like.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// A form that is not known.
    #[error("unsupported modifier ({0}) in substitution")]
    UnsupportedModifier(String),
    /// `${name?message}` of a variable that is not set.
    #[error("{name}: {message}")]
    Refused {
        /// The variable.
        name: String,
        /// The message given with it, or a general one.
        message: String,
    },
    /// A pattern that cannot be matched.
    #[error("invalid pattern ({pattern}) in substitution: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: BadPattern,
    },
}

/// A word after expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// The whole, spaces included.
    pub text: String,
    /// The same, split at unquoted spaces.
    pub words: Vec<String>,
}

/// How words are read.
#[derive(Debug, Clone, Copy)]
pub struct Expander {
    /// The character that takes the next one's meaning away.
    pub escape: char,
    /// Quotes stay in the result.
    pub keep_quotes: bool,
    /// Escape characters stay in the result.
    pub keep_escapes: bool,
    /// Variables without a value stay as written, instead of becoming nothing.
    pub keep_unset: bool,
    /// Quotes mean nothing, as in the text of a here-document.
    pub quotes_are_plain: bool,
}

// === impl Expander ===

impl Expander {
    /// An expander that resolves everything.
    #[must_use]
    pub fn new(escape: char) -> Self {
        Self {
            escape,
            keep_quotes: false,
            keep_escapes: false,
            keep_unset: false,
            quotes_are_plain: false,
        }
    }

    /// Expands a word.
    ///
    /// # Errors
    ///
    /// Its quotes or substitutions are not well formed, or it refuses an unset variable.
    pub fn expand(&self, word: &str, variables: &Variables) -> Result<Expanded, ExpandError> {
        let mut run = Run {
            how: *self,
            keep_escapes: self.keep_escapes,
            variables,
            rest: word.chars().collect(),
            at: 0,
            words: Words::default(),
        };
        let result = run.until(None, self.keep_escapes);
        result.map_err(|problem| ExpandError {
            word: word.to_owned(),
            problem,
        })
    }
}

/// One pass over a word.
struct Run<'a> {
    how: Expander,
    keep_escapes: bool,
    variables: &'a Variables,
    rest: Vec<char>,
    at: usize,
    /// One for the forms inside of forms too: see [`Words::nested`].
    words: Words,
}

// === impl Run ===

impl Run<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let ch = self.peek();
        self.at += usize::from(ch.is_some());
        ch
    }

    /// Expands up to `stop`, which is taken, or up to the end.
    fn until(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<Expanded, ExpandProblem> {
        let before = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        let result = self.until_inner(stop);
        self.keep_escapes = before;
        result
    }

    fn until_inner(&mut self, stop: Option<char>) -> Result<Expanded, ExpandProblem> {
        let mut text = String::new();
        let outer = self.words.nested();
        while let Some(ch) = self.peek() {
            if Some(ch) == stop {
                self.next();
                let words = std::mem::replace(&mut self.words, outer).finish();
                return Ok(Expanded { text, words });
            }
            match ch {
                '$' => {
                    let value = self.dollar()?;
                    self.words.add_str(&value);
                    text.push_str(&value);
                }
                '\'' | '"' if !self.how.quotes_are_plain => {
                    let value = if ch == '"' {
                        self.double_quote()?
                    } else {
                        self.single_quote()?
                    };
                    self.words.add_raw_str(&value);
                    text.push_str(&value);
                }
                '<' => self.less(&mut text),
                _ => self.plain(&mut text),
            }
        }
        let words = std::mem::replace(&mut self.words, outer).finish();
        stop.map_or(Ok(Expanded { text, words }), |stop| {
            Err(ExpandProblem::Open(stop))
        })
    }

    /// `<`; two of them hold the spaces behind them and the word that follows together.
    fn less(&mut self, text: &mut String) {
        let mut taken = String::from('<');
        self.next();
        if self.peek() == Some('<') {
            self.next();
            taken.push('<');
            let spaces = self.rest[self.at..]
                .iter()
                .take_while(|ch| ch.is_whitespace())
                .count();
            if self.at + spaces < self.rest.len() {
                taken.extend(&self.rest[self.at..self.at + spaces]);
                self.at += spaces;
            }
        }
        self.words.add_raw_str(&taken);
        text.push_str(&taken);
    }

    /// Takes one character that is no quote and no variable, or an escaped one.
    fn plain(&mut self, text: &mut String) {
        let Some(ch) = self.next() else { return };
        if ch != self.how.escape {
            self.words.add(ch);
            text.push(ch);
            return;
        }
        if self.keep_escapes {
            self.words.add_raw(ch);
            text.push(ch);
        }
        if let Some(escaped) = self.next() {
            self.words.add_raw(escaped);
            text.push(escaped);
        }
    }

    /// Everything up to the next `'` as it stands; not even an escape counts.
    fn single_quote(&mut self) -> Result<String, ExpandProblem> {
        let mut text = String::new();
        let quote = self.next().filter(|_| self.how.keep_quotes);
        text.extend(quote);
        loop {
            match self.next().ok_or(ExpandProblem::OpenSingleQuote)? {
                '\'' => break,
                ch => text.push(ch),
            }
        }
        text.extend(quote);
        Ok(text)
    }

    /// Everything up to the next `"`, with variables; only `"`, `$` and the escape can be escaped.
    fn double_quote(&mut self) -> Result<String, ExpandProblem> {
        let mut text = String::new();
        let quote = self.next().filter(|_| self.how.keep_quotes);
        text.extend(quote);
        loop {
            match self.peek().ok_or(ExpandProblem::OpenDoubleQuote)? {
                '"' => break,
                '$' => text.push_str(&self.dollar()?),
                ch if ch == self.how.escape => self.escape_in_quotes(&mut text),
                ch => {
                    self.next();
                    text.push(ch);
                }
            }
        }
        self.next();
        text.extend(quote);
        Ok(text)
    }

    fn escape_in_quotes(&mut self, text: &mut String) {
        let escape = self.how.escape;
        self.next();
        if self.keep_escapes {
            text.push(escape);
        }
        match self.peek() {
            None => {}
            Some(ch) if ch == '"' || ch == '$' || ch == escape => {
                self.next();
                text.push(ch);
            }
            Some(_) => text.push(escape),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    /// `$name` or `${…}`.
    fn dollar(&mut self) -> Result<String, ExpandProblem> {
        self.next();
        if self.peek() == Some('{') {
            self.next();
            return self.braces();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.value(&name) {
            None if self.how.keep_unset => Ok(format!("${name}")),
            value => Ok(value.unwrap_or_default()),
        }
    }

    /// What follows `${`.
    fn braces(&mut self) -> Result<String, ExpandProblem> {
        match self.peek() {
            None => return Err(ExpandProblem::MissingBrace),
            Some('{' | '}' | ':') => return Err(ExpandProblem::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            Some('}') => match self.value(&name) {
                None if self.how.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some(':') => {
                let operator = self.next().unwrap_or(char::REPLACEMENT_CHARACTER);
                match operator {
                    '-' | '+' | '?' => self.conditional(&name, operator, true),
                    other => Err(ExpandProblem::UnsupportedModifier(format!(":{other}"))),
                }
            }
            Some(operator @ ('-' | '+' | '?')) => self.conditional(&name, operator, false),
            Some(operator @ ('#' | '%')) => self.trim(&name, operator),
            Some('/') => self.replace(&name),
            other => Err(ExpandProblem::UnsupportedModifier(
                other.unwrap_or(char::REPLACEMENT_CHARACTER).to_string(),
            )),
        }
    }

    /// A part of `${…}`; the end of the text inside of it is an error of the whole form.
    fn part(
        &mut self,
        stop: char,
        keep_escapes: bool,
        missing: ExpandProblem,
    ) -> Result<String, ExpandProblem> {
        let part = self.until(Some(stop), keep_escapes);
        match part {
            Ok(expanded) => Ok(expanded.text),
            Err(_) if self.peek().is_none() => Err(missing),
            Err(problem) => Err(problem),
        }
    }

    /// `-`, `+` and `?`; with a colon an empty value counts as none.
    fn conditional(
        &mut self,
        name: &str,
        operator: char,
        colon: bool,
    ) -> Result<String, ExpandProblem> {
        let word = self.part('}', false, ExpandProblem::MissingBrace)?;
        let value = self.value(name);
        if self.how.keep_unset && value.is_none() {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let counts = value
            .as_ref()
            .is_some_and(|value| !(colon && value.is_empty()));
        match (operator, counts) {
            ('+', true) | ('-', false) => Ok(word),
            ('+', false) => Ok(String::new()),
            (_, true) => Ok(value.unwrap_or_default()),
            (_, false) => {
                let general = if value.is_none() {
                    "is not allowed to be unset"
                } else {
                    "is not allowed to be empty"
                };
                let message = if word.is_empty() {
                    general.to_owned()
                } else {
                    word
                };
                Err(ExpandProblem::Refused {
                    name: name.to_owned(),
                    message,
                })
            }
        }
    }

    /// `#` and `%` take the shortest match away at one end, doubled ones the longest.
    fn trim(&mut self, name: &str, operator: char) -> Result<String, ExpandProblem> {
        let word = self.part('}', true, ExpandProblem::MissingBrace)?;
        let Some(value) = self.value(name) else {
            return Ok(if self.how.keep_unset {
                format!("${{{name}{operator}{word}}}")
            } else {
                String::new()
            });
        };
        let (pattern, greed) = match word.strip_prefix(operator) {
            Some(rest) => (rest, Greed::Longest),
            None => (word.as_str(), Greed::Shortest),
        };
        let trimmed = if operator == '#' {
            pattern::trim_start(&value, pattern, greed)
        } else {
            pattern::trim_end(&value, pattern, greed)
        };
        trimmed.map_err(|(pattern, problem)| ExpandProblem::Pattern { pattern, problem })
    }

    /// `/pattern/text` for the first match, `//pattern/text` for all.
    fn replace(&mut self, name: &str) -> Result<String, ExpandProblem> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.part('/', true, ExpandProblem::MissingSlash)?;
        let replacement = self.part('}', true, ExpandProblem::MissingBrace)?;
        let Some(value) = self.value(name) else {
            return Ok(if self.how.keep_unset {
                format!("${{{name}/{pattern}/{replacement}}}")
            } else {
                String::new()
            });
        };
        pattern::replace(&value, &pattern, &replacement, all)
            .map_err(|(pattern, problem)| ExpandProblem::Pattern { pattern, problem })
    }

    /// The longest name that starts here: digits, one special character, or letters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(ch) = self.peek() {
            if name.is_empty() && ch.is_numeric() {
                while let Some(digit) = self.peek().filter(|ch| ch.is_numeric()) {
                    self.next();
                    name.push(digit);
                }
                break;
            }
            if name.is_empty() && matches!(ch, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
                self.next();
                name.push(ch);
                break;
            }
            if !ch.is_alphanumeric() && ch != '_' {
                break;
            }
            self.next();
            name.push(ch);
        }
        name
    }
}

#[cfg(test)]
mod tests;
