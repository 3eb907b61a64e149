//! Here-documents: `<<WORD`, `<<-WORD`, `<<"WORD"`.

use crate::expand::{Expander, Variables};

/// A here-document of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// Whether variables in it count (the word was not quoted).
    pub expand: bool,
    /// Whether leading tabs are taken off (`<<-`).
    pub chomp: bool,
    /// The lines between, with their ends.
    pub content: String,
}

// === impl Heredoc ===

impl Heredoc {
    /// The content as the instruction means it, without leading tabs if they are to go.
    #[must_use]
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(strip_tabs).collect()
    }
}

pub(crate) fn strip_tabs(line: &str) -> &str {
    line.trim_start_matches('\t')
}

/// The here-documents that a line opens, in order, still without content.
pub(crate) fn heredocs_in(line: &str) -> Vec<Heredoc> {
    let expander = Expander {
        keep_quotes: true,
        keep_escapes: true,
        keep_unset: true,
        ..Expander::new('\\')
    };
    // A line that is no well formed sequence of words opens none; the shell will complain.
    let words = expander
        .expand(line, &Variables::new())
        .map(|done| done.words)
        .unwrap_or_default();
    words
        .iter()
        .filter_map(|word| parse_heredoc(word))
        .collect()
}

/// Reads one word as the beginning of a here-document.
pub(crate) fn parse_heredoc(word: &str) -> Option<Heredoc> {
    let rest = word
        .trim_start_matches(|ch: char| ch.is_ascii_digit())
        .strip_prefix("<<")?;
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let plain = Expander {
        keep_unset: true,
        ..Expander::new('\\')
    };
    let raw = Expander {
        keep_quotes: true,
        ..plain
    };
    let words = |expander: Expander| expander.expand(rest, &Variables::new()).ok();
    let (plain, raw) = (words(plain)?.words, words(raw)?.words);
    let ([name], [raw]) = (plain.as_slice(), raw.as_slice()) else {
        return None;
    };
    let quotes = |text: &str| text.chars().filter(|ch| matches!(ch, '\'' | '"')).count();
    Some(Heredoc {
        name: name.clone(),
        expand: quotes(name) == quotes(raw),
        chomp,
        content: String::new(),
    })
}
