//! Filters as Docker has them: under each key a set of values, of which one must match, or all.
//!
//! They arrive as `key=value` texts, or as the JSON objects of Docker's API in either of its two
//! forms. What each key means is known to the use case that it filters.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

/// A filter is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not `key=value`.
    #[error(
        "invalid argument \"{0}\" for \"-f, --filter\" flag: bad format of filter (expected name=value)"
    )]
    Malformed(String),
    /// Not one of the JSON objects.
    #[error("invalid filter")]
    Json,
    /// No such key.
    #[error("invalid filter '{0}'")]
    Key(String),
    /// No such value.
    #[error("invalid filter '{key}={value}'")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Neither true nor false, or both.
    #[error("invalid filter '{key}=[{}]'", values.join(" "))]
    Truth {
        /// The key.
        key: String,
        /// All of its values.
        values: Vec<String>,
    },
    /// A value is wrong, and the sentence says how.
    #[error("{0}")]
    Sentence(String),
}

/// The values under each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterArgs {
    fields: BTreeMap<String, BTreeSet<String>>,
}

/// `{"key":{"value":true}}`.
type Sets = Option<BTreeMap<String, Option<BTreeMap<String, Option<bool>>>>>;
/// `{"key":["value"]}`.
type Lists = Option<BTreeMap<String, Option<Vec<Option<String>>>>>;

impl FilterArgs {
    /// Reads `key=value` texts; spaces around and the case of keys do not count.
    ///
    /// # Errors
    /// When a text has no `=`.
    pub fn parse(texts: &[String]) -> Result<Self, FilterError> {
        let mut args = Self::default();
        for text in texts {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| FilterError::Malformed(text.clone()))?;
            let key = key.trim().to_lowercase();
            args.fields
                .entry(key)
                .or_default()
                .insert(value.trim().to_owned());
        }
        Ok(args)
    }

    /// Reads `{"key":{"value":true}}` or the older `{"key":["value"]}`.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn from_json(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if let Ok(sets) = serde_json::from_str::<Sets>(text) {
            let sets = sets.unwrap_or_default().into_iter();
            let fields =
                sets.map(|(key, set)| (key, set.unwrap_or_default().into_keys().collect()));
            return Ok(Self {
                fields: fields.collect(),
            });
        }
        let lists: Lists = serde_json::from_str(text).map_err(|_neither| FilterError::Json)?;
        let lists = lists.unwrap_or_default().into_iter();
        let fields = lists.map(|(key, list)| {
            let values = list.unwrap_or_default().into_iter();
            (key, values.map(Option::unwrap_or_default).collect())
        });
        Ok(Self {
            fields: fields.collect(),
        })
    }

    /// Checks that there are no keys but these.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn validate(&self, keys: &[&str]) -> Result<(), FilterError> {
        match self.fields.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(FilterError::Key(key.clone())),
            None => Ok(()),
        }
    }

    /// Returns the keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Returns the values under `key`, sorted.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.fields
            .get(key)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Whether there is such a key.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// Whether `value` is one of the values under `key`.
    #[must_use]
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.fields.get(key).is_some_and(|set| set.contains(value))
    }

    /// Whether `source` is one of the values, or there are none.
    #[must_use]
    pub fn exact_match(&self, key: &str, source: &str) -> bool {
        self.is_open(key) || self.has(key, source)
    }

    /// Whether `source` begins with one of the values, or there are none.
    #[must_use]
    pub fn fuzzy_match(&self, key: &str, source: &str) -> bool {
        self.is_open(key) || self.values(key).any(|prefix| source.starts_with(prefix))
    }

    /// Whether one of the values, taken for a regular expression, is found in `source`, or there are none.
    #[must_use]
    pub fn regex_match(&self, key: &str, source: &str) -> bool {
        self.exact_match(key, source)
            || self
                .values(key)
                .any(|pattern| Regex::new(pattern).is_ok_and(|regex| regex.is_match(source)))
    }

    /// Whether all values, `name` or `name=value`, are among the pairs.
    #[must_use]
    pub fn match_kv_list(&self, key: &str, pairs: &BTreeMap<String, String>) -> bool {
        self.values(key).all(|text| match text.split_once('=') {
            Some((name, value)) => pairs.get(name).is_some_and(|found| found == value),
            None => pairs.contains_key(text),
        })
    }

    /// Returns the truth under `key`, or `otherwise` when there is no such key.
    ///
    /// # Errors
    /// When the values are neither true nor false, or both.
    pub fn truth(&self, key: &str, otherwise: bool) -> Result<bool, FilterError> {
        if !self.contains(key) {
            return Ok(otherwise);
        }
        let is_false = self.has(key, "0") || self.has(key, "false");
        let is_true = self.has(key, "1") || self.has(key, "true");
        if is_false == is_true {
            return Err(FilterError::Truth {
                key: key.to_owned(),
                values: self.values(key).map(str::to_owned).collect(),
            });
        }
        Ok(is_true)
    }

    fn is_open(&self, key: &str) -> bool {
        self.fields.get(key).is_none_or(BTreeSet::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::vectors::vectors;

    fn parse(texts: &[&str]) -> FilterArgs {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        FilterArgs::parse(&texts).expect("filters")
    }

    #[test]
    fn all_recorded_filters_read_as_the_original_does() {
        for vector in vectors("filters.json") {
            let input = vector["input"].as_str().expect("input");
            match FilterArgs::from_json(input) {
                Ok(args) => assert_eq!(json!(args.fields), vector["filters"], "{input}"),
                Err(error) => assert_eq!(error.to_string(), vector["error"], "{input}"),
            }
        }
    }

    #[test]
    fn keys_are_lower_case_and_texts_without_a_value_are_refused() {
        assert!(parse(&[" Label = a=b "]).has("label", "a=b"));
        let wrong = FilterArgs::parse(&["status".to_owned()]);
        assert!(matches!(wrong, Err(FilterError::Malformed(_))));
        assert_eq!(
            parse(&["foo=1"]).validate(&["status"]),
            Err(FilterError::Key("foo".to_owned()))
        );
    }

    #[test]
    fn names_match_as_regular_expressions_and_labels_all_of_them() {
        let args = parse(&["name=^web$", "name=db.", "label=a", "label=b=c"]);
        for (name, matches) in [
            ("web", true),
            ("web1", false),
            ("my-db1", true),
            ("db", false),
        ] {
            assert_eq!(args.regex_match("name", name), matches, "{name}");
        }
        assert!(parse(&["name=(["]).regex_match("name", "(["));
        let labels = |pairs: &[(&str, &str)]| {
            let pair = |&(k, v): &(&str, &str)| (k.to_owned(), v.to_owned());
            args.match_kv_list("label", &pairs.iter().map(pair).collect())
        };
        assert!(labels(&[("a", ""), ("b", "c")]));
        assert!(!labels(&[("a", "")]));
        assert!(!labels(&[]));
    }

    #[test]
    fn a_truth_is_one_of_both() {
        assert_eq!(parse(&[]).truth("is-task", true), Ok(true));
        assert_eq!(parse(&["is-task=0"]).truth("is-task", true), Ok(false));
        for wrong in [&["is-task=x"][..], &["is-task=1", "is-task=false"]] {
            let error = parse(wrong).truth("is-task", true).expect_err("neither");
            assert!(error.to_string().starts_with("invalid filter 'is-task=["));
        }
    }
}
