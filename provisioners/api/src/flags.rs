//! A driver's flags as data, and the values that the operator gave for them.
//!
//! Flags are not parsed here: the CLI shows and parses them, the driver only says what it takes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::DriverError;

/// The value of a flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FlagValue {
    /// Present or not.
    Switch(bool),
    /// A whole number.
    Number(i64),
    /// Any text.
    Text(String),
    /// Text, given any number of times.
    List(Vec<String>),
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagKind {
    /// Present or not.
    Switch,
    /// A whole number.
    Number,
    /// Any text.
    Text,
    /// Text, given any number of times.
    List,
}

/// One flag of `create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagSpec {
    /// The name without dashes, with the driver's name in front: `generic-ssh-user`.
    pub name: Cow<'static, str>,
    /// The environment variable that gives the value when the flag is absent.
    pub env: Option<Cow<'static, str>>,
    /// The value when neither is there; its kind is the flag's kind.
    pub default: FlagValue,
    /// One sentence for the help page.
    pub help: Cow<'static, str>,
    /// Whether the value is a secret, which can then be kept out of the store.
    #[serde(default)]
    pub secret: bool,
}

/// A value for every flag of a driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagValues {
    values: BTreeMap<String, FlagValue>,
}

// === impl FlagValue ===

impl FlagValue {
    /// Returns the kind of this value.
    #[must_use]
    pub fn kind(&self) -> FlagKind {
        match self {
            Self::Switch(_) => FlagKind::Switch,
            Self::Number(_) => FlagKind::Number,
            Self::Text(_) => FlagKind::Text,
            Self::List(_) => FlagKind::List,
        }
    }
}

// === impl FlagSpec ===

impl FlagSpec {
    /// Returns a flag that takes text.
    #[must_use]
    pub fn text(name: &'static str, default: &str, help: &'static str) -> Self {
        Self::new(name, FlagValue::Text(default.to_owned()), help)
    }

    /// Returns a flag that takes a whole number.
    #[must_use]
    pub fn number(name: &'static str, default: i64, help: &'static str) -> Self {
        Self::new(name, FlagValue::Number(default), help)
    }

    /// Returns a flag that is present or not.
    #[must_use]
    pub fn switch(name: &'static str, help: &'static str) -> Self {
        Self::new(name, FlagValue::Switch(false), help)
    }

    /// Returns a flag that can be given many times.
    #[must_use]
    pub fn list(name: &'static str, help: &'static str) -> Self {
        Self::new(name, FlagValue::List(Vec::new()), help)
    }

    /// Adds the environment variable that stands in for the flag.
    #[must_use]
    pub fn with_env(mut self, variable: &'static str) -> Self {
        self.env = Some(Cow::Borrowed(variable));
        self
    }

    fn new(name: &'static str, default: FlagValue, help: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            env: None,
            default,
            help: Cow::Borrowed(help),
            secret: false,
        }
    }

    /// Says that the value is a secret.
    #[must_use]
    pub fn with_secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Returns whether the value is a secret: the driver says so, or the flag's name does, as for
    /// drivers of others that have no way to say it.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        const WORDS: [&str; 5] = ["token", "secret", "password", "passphrase", "credential"];
        const ENDS: [&str; 5] = [
            "access-key",
            "access-key-id",
            "api-key",
            "apikey",
            "access-key-secret",
        ];
        self.secret
            || (self.default.kind() == FlagKind::Text
                && (self.name.split('-').any(|word| WORDS.contains(&word))
                    || ENDS.iter().any(|end| self.name.ends_with(end))))
    }

    /// Returns the value that `text` (from an environment variable) means for this flag.
    ///
    /// Lists are split at commas; a switch is on for `1`, `t`, `true` and their capital forms.
    ///
    /// # Errors
    ///
    /// [`DriverError::Flag`] when the flag takes a number and the text is none.
    pub fn parse(&self, text: &str) -> Result<FlagValue, DriverError> {
        Ok(match self.default.kind() {
            FlagKind::Text => FlagValue::Text(text.to_owned()),
            FlagKind::Switch => {
                FlagValue::Switch(matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"))
            }
            FlagKind::List => FlagValue::List(
                text.split(',')
                    .map(str::trim)
                    .filter(|v| !v.is_empty())
                    .map(Into::into)
                    .collect(),
            ),
            FlagKind::Number => {
                FlagValue::Number(text.trim().parse().map_err(|_error| DriverError::Flag {
                    flag: self.name.to_string(),
                    problem: format!("needs a whole number, not {text:?}"),
                })?)
            }
        })
    }
}

// === impl FlagValues ===

impl FlagValues {
    /// Returns the defaults of `specs`.
    #[must_use]
    pub fn defaults(specs: &[FlagSpec]) -> Self {
        let values = specs
            .iter()
            .map(|spec| (spec.name.to_string(), spec.default.clone()))
            .collect();
        Self { values }
    }

    /// Sets one value.
    pub fn set(&mut self, name: impl Into<String>, value: FlagValue) {
        self.values.insert(name.into(), value);
    }

    /// Returns one value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FlagValue> {
        self.values.get(name)
    }

    /// Returns all values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FlagValue)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the text of flag `name`; empty when there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(FlagValue::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns the number of flag `name`; zero when there is none.
    #[must_use]
    pub fn number(&self, name: &str) -> i64 {
        match self.values.get(name) {
            Some(FlagValue::Number(number)) => *number,
            _ => 0,
        }
    }

    /// Returns whether flag `name` is on.
    #[must_use]
    pub fn switch(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(FlagValue::Switch(true)))
    }

    /// Returns the texts of flag `name`.
    #[must_use]
    pub fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(FlagValue::List(list)) => list,
            _ => &[],
        }
    }

    /// Returns the number of flag `name` as a TCP port.
    ///
    /// # Errors
    ///
    /// [`DriverError::Flag`] when it is not between 1 and 65535.
    pub fn port(&self, name: &str) -> Result<u16, DriverError> {
        let number = self.number(name);
        u16::try_from(number)
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| DriverError::Flag {
                flag: name.to_owned(),
                problem: format!("needs a port between 1 and 65535, not {number}"),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_text_becomes_a_value_of_the_flags_kind() {
        let number = FlagSpec::number("x-port", 22, "Port");
        assert_eq!(number.parse(" 23 ").unwrap(), FlagValue::Number(23));
        number.parse("ssh").unwrap_err();
        let list = FlagSpec::list("x-san", "Names");
        assert_eq!(
            list.parse("a, b,,").unwrap(),
            FlagValue::List(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(
            FlagSpec::switch("x", "On").parse("TRUE").unwrap(),
            FlagValue::Switch(true)
        );
        assert_eq!(
            FlagSpec::switch("x", "On").parse("yes").unwrap(),
            FlagValue::Switch(false)
        );
    }

    #[test]
    fn secrets_are_known_by_word_or_by_name() {
        let text = |name| FlagSpec::text(name, "", "");
        assert!(text("x-pin").with_secret().is_secret());
        for name in [
            "digitalocean-access-token",
            "amazonec2-secret-key",
            "aliyunecs-access-key-id",
            "ssh-password",
        ] {
            assert!(text(name).is_secret(), "{name}");
        }
        for name in ["generic-ssh-key", "x-tokens", "amazonec2-keypair-name"] {
            assert!(!text(name).is_secret(), "{name}");
        }
        assert!(!FlagSpec::switch("x-token", "").is_secret());
    }

    #[test]
    fn ports_outside_the_range_are_refused() {
        let mut values = FlagValues::defaults(&[FlagSpec::number("p", 22, "Port")]);
        assert_eq!(values.port("p").unwrap(), 22);
        for bad in [0, -1, 65536] {
            values.set("p", FlagValue::Number(bad));
            assert!(values.port("p").is_err(), "{bad} was taken");
        }
    }
}
