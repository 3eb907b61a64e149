//! `$name`, `${name}` and the forms with an operator.

use super::ExpandProblem;
use super::pattern::{self, Greed};
use super::run::Run;

// === impl Run ===

impl Run<'_> {
    fn value(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    /// `$name` or `${…}`.
    pub(super) fn dollar(&mut self) -> Result<String, ExpandProblem> {
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
