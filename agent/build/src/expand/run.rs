//! One pass over a word: quotes, escapes, plain characters.

use super::words::Words;
use super::{ExpandProblem, Expanded, Expander, Variables};

/// One pass over a word.
pub(super) struct Run<'a> {
    pub(super) how: Expander,
    keep_escapes: bool,
    pub(super) variables: &'a Variables,
    rest: Vec<char>,
    at: usize,
    /// One for the forms inside of forms too: see [`Words::nested`].
    words: Words,
}

// === impl Run ===

impl<'a> Run<'a> {
    pub(super) fn new(how: Expander, word: &str, variables: &'a Variables) -> Self {
        Self {
            how,
            keep_escapes: how.keep_escapes,
            variables,
            rest: word.chars().collect(),
            at: 0,
            words: Words::default(),
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let ch = self.peek();
        self.at += usize::from(ch.is_some());
        ch
    }

    /// Expands up to `stop`, which is taken, or up to the end.
    pub(super) fn until(
        &mut self,
        stop: Option<char>,
        keep_escapes: bool,
    ) -> Result<Expanded, ExpandProblem> {
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
}
