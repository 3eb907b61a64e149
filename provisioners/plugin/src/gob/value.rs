//! A value of any type, as it came.

use std::collections::BTreeMap;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Complex(f64, f64),
    Bytes(Vec<u8>),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// Fields by name; those with their zero value are absent.
    Struct(BTreeMap<String, Self>),
    /// A value of the type that its peer registered under a name.
    Interface(String, Box<Self>),
    /// An interface that holds nothing.
    Nil,
}

// === impl Value ===

impl Value {
    /// Returns a field of a structure, unless it has its zero value.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Struct(fields) => fields.get(name),
            _ => None,
        }
    }

    /// Returns the text of a field; empty without.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.field(name).and_then(Self::text).unwrap_or_default()
    }

    /// Returns the number of a field; zero without.
    pub(crate) fn int_of(&self, name: &str) -> i64 {
        self.field(name).and_then(Self::int).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Uint(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// Returns the texts of a list; nothing when it holds anything else.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        let list = self.list()?.iter();
        list.map(|value| value.text().map(ToOwned::to_owned))
            .collect()
    }
}
