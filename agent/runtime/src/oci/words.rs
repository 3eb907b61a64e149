//! The words of a command line, in the manner of other runtimes: options before and after the command, with one or two
//! dashes, their values after `=` or as the next word.

use std::collections::VecDeque;
use std::ffi::OsString;

use super::error::OciError;

/// Words that have not been asked for yet.
#[derive(Debug)]
pub(super) struct Words {
    /// Options before the command, with their values.
    globals: Vec<(String, String)>,
    rest: VecDeque<String>,
    /// Something that cannot be understood, said when the command is asked for.
    wrong: Option<String>,
}

/// Options before the command that have a value, and those without, which change nothing here.
const GLOBALS: [&str; 4] = ["root", "log", "log-format", "rootless"];
const IGNORED: [&str; 1] = ["debug"];

impl Words {
    pub(super) fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut words = Self {
            globals: Vec::new(),
            rest: VecDeque::new(),
            wrong: None,
        };
        for argument in arguments {
            match argument.into_string() {
                Ok(word) => words.rest.push_back(word),
                Err(word) => words.wrong = Some(format!("no text: {}", word.display())),
            }
        }
        while let Some(name) = words.rest.front().and_then(|word| option(word)) {
            let name = name.to_owned();
            words.take_global(&name);
        }
        words
    }

    fn take_global(&mut self, word: &str) {
        self.rest.pop_front();
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        if GLOBALS.contains(&name) {
            match value.or_else(|| self.rest.pop_front()) {
                Some(value) => self.globals.push((name.to_owned(), value)),
                None => self.wrong = Some(format!("option --{name} needs a value")),
            }
        } else if matches!(name, "h" | "help") {
            self.rest.push_front("help".to_owned());
        } else if !IGNORED.contains(&name) {
            self.wrong = Some(format!("no such option: --{name}"));
        }
    }

    /// Returns the last value of an option before the command.
    pub(super) fn global(&self, name: &str) -> Result<Option<String>, OciError> {
        if let Some(wrong) = &self.wrong {
            return Err(OciError::Usage(wrong.clone()));
        }
        let values = self.globals.iter().rev();
        let found = values
            .filter(|(own, _)| own == name)
            .map(|(_, v)| v.clone());
        Ok(found.into_iter().next())
    }

    /// Takes the command.
    pub(super) fn command(&mut self) -> Result<Option<String>, OciError> {
        match &self.wrong {
            Some(wrong) => Err(OciError::Usage(wrong.clone())),
            None => Ok(self.rest.pop_front()),
        }
    }

    /// Takes an option without value; returns whether it was there.
    pub(super) fn flag(&mut self, name: &str, letter: Option<char>) -> bool {
        let before = self.rest.len();
        self.rest.retain(|word| match option(word) {
            Some(own) => !(own == name || is_letter(own, letter) || own == format!("{name}=true")),
            None => true,
        });
        self.rest.len() < before
    }

    /// Takes an option with its value; the last prevails.
    pub(super) fn value(
        &mut self,
        name: &str,
        letter: Option<char>,
    ) -> Result<Option<String>, OciError> {
        let mut found = None;
        while let Some(at) = self.position(name, letter) {
            let word = self.rest.remove(at).unwrap_or_default();
            found = match word.split_once('=') {
                Some((_, value)) => Some(value.to_owned()),
                None => match self.rest.remove(at) {
                    Some(value) => Some(value),
                    None => {
                        return Err(OciError::Usage(format!("option --{name} needs a value")));
                    }
                },
            };
        }
        Ok(found)
    }

    fn position(&self, name: &str, letter: Option<char>) -> Option<usize> {
        self.rest.iter().position(|word| {
            let own = option(word).map(|own| own.split_once('=').map_or(own, |(own, _)| own));
            own.is_some_and(|own| own == name || is_letter(own, letter))
        })
    }

    /// Takes the next word that is no option.
    pub(super) fn next(&mut self) -> Option<String> {
        self.rest.pop_front()
    }

    /// Takes the only word that is left.
    pub(super) fn only(&mut self, what: &str) -> Result<String, OciError> {
        let word = self
            .next()
            .ok_or_else(|| OciError::Usage(format!("{what} is missing")))?;
        self.end()?;
        Ok(word)
    }

    /// Makes sure that nothing is left, and that what was taken were no options.
    pub(super) fn end(&self) -> Result<(), OciError> {
        match self.rest.front() {
            None => Ok(()),
            Some(word) => Err(OciError::Usage(format!("unexpected: {word}"))),
        }
    }
}

fn option(word: &str) -> Option<&str> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    // A number is a signal's.
    (!name.is_empty()).then_some(name)
}

fn is_letter(own: &str, letter: Option<char>) -> bool {
    let mut characters = own.chars();
    letter.is_some() && characters.next() == letter && characters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        Words::new(text.split(' ').map(OsString::from))
    }

    #[test]
    fn options_are_taken_before_and_after_the_command() {
        let mut words = words("--root=/x --log f create -b /y --pid-file=/p --no-pivot id");
        assert_eq!(words.global("root").unwrap().as_deref(), Some("/x"));
        assert_eq!(words.global("log").unwrap().as_deref(), Some("f"));
        assert_eq!(words.command().unwrap().as_deref(), Some("create"));
        assert_eq!(
            words.value("bundle", Some('b')).unwrap().as_deref(),
            Some("/y")
        );
        assert_eq!(
            words.value("pid-file", None).unwrap().as_deref(),
            Some("/p")
        );
        assert!(words.flag("no-pivot", None) && !words.flag("all", Some('a')));
        assert_eq!(words.only("id").unwrap(), "id");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let wrong = |text: &str| words(text).command().unwrap_err().to_string();
        assert_eq!(wrong("--nothing create"), "no such option: --nothing");
        assert_eq!(wrong("--root"), "option --root needs a value");
        let mut rest = words("delete id other");
        rest.command().unwrap();
        assert_eq!(
            rest.only("id").unwrap_err().to_string(),
            "unexpected: other"
        );
    }
}
