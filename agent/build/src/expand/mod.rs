//! Quotes, escapes and variables in the arguments of instructions.
//!
//! The language is a part of the shell's: `'…'`, `"…"`, an escape character, `$name`, `${name}` and
//! the forms `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`. Nothing is ever executed.

mod forms;
mod pattern;
mod run;
mod words;

use std::collections::BTreeMap;

use self::pattern::BadPattern;
use self::run::Run;
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
        let mut run = Run::new(*self, word, variables);
        let result = run.until(None, self.keep_escapes);
        result.map_err(|problem| ExpandError {
            word: word.to_owned(),
            problem,
        })
    }
}

#[cfg(test)]
mod tests;
