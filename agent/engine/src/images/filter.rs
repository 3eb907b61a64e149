//! Filters of image lists: `dangling=true`, `label=a=b`, `reference=app:*`, …

use berth_agent_images::{Image, Reference};

use crate::filters::FilterError;

/// Conditions that all must hold; of several patterns one is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageFilters {
    dangling: Option<bool>,
    labels: Vec<(String, Option<String>)>,
    patterns: Vec<String>,
    pub(crate) before: Option<String>,
    pub(crate) since: Option<String>,
}

impl ImageFilters {
    /// Reads `key=value` texts and the argument of `images`, which is one more pattern.
    pub(crate) fn parse(texts: &[String], reference: &str) -> Result<Self, FilterError> {
        let mut filters = Self::default();
        if !reference.is_empty() {
            filters.patterns.push(reference.to_owned());
        }
        for text in texts {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| FilterError::Malformed(text.clone()))?;
            match key {
                "dangling" => filters.dangling = Some(truth(key, value)?),
                "label" => filters.labels.push(match value.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (value.to_owned(), None),
                }),
                "reference" => filters.patterns.push(value.to_owned()),
                "before" => filters.before = Some(value.to_owned()),
                "since" => filters.since = Some(value.to_owned()),
                _ => return Err(FilterError::Key(key.to_owned())),
            }
        }
        Ok(filters)
    }

    pub(crate) fn matches(&self, image: &Image) -> bool {
        let labels = &image.config.config.labels;
        self.dangling
            .is_none_or(|dangling| dangling == image.repo_tags.is_empty())
            && self.labels.iter().all(|(name, value)| {
                labels
                    .get(name)
                    .is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            })
            && (self.patterns.is_empty()
                || self
                    .patterns
                    .iter()
                    .any(|pattern| names_match(pattern, image)))
    }
}

fn truth(key: &str, value: &str) -> Result<bool, FilterError> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(FilterError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
    }
}

fn names_match(pattern: &str, image: &Image) -> bool {
    // Written in full, the same repository is meant.
    let familiar = Reference::parse(pattern).map(|reference| reference.familiar());
    let pattern = familiar.as_deref().unwrap_or(pattern);
    image
        .repo_tags
        .iter()
        .chain(&image.repo_digests)
        .any(|name| {
            let repository = match name.split_once('@') {
                Some((repository, _)) => repository,
                None => name
                    .rsplit_once(':')
                    .map_or(name.as_str(), |(repository, _)| repository),
            };
            glob(pattern.as_bytes(), name.as_bytes())
                || glob(pattern.as_bytes(), repository.as_bytes())
        })
}

/// Matches `*` and `?`, neither of which stands for a slash.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            glob(rest, text)
                || matches!(text, [first, tail @ ..] if *first != b'/' && glob(pattern, tail))
        }
        ([b'?', rest @ ..], [first, tail @ ..]) => *first != b'/' && glob(rest, tail),
        ([wanted, rest @ ..], [first, tail @ ..]) => wanted == first && glob(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_a_part_of_the_name() {
        assert!(glob(b"app:*", b"app:1.2"));
        assert!(glob(b"*/app", b"team/app"));
        assert!(!glob(b"*", b"team/app"));
        assert!(!glob(b"app", b"app2"));
    }

    #[test]
    fn filters_are_read_and_nonsense_is_refused() {
        let parse = |text: &str| ImageFilters::parse(&[text.to_owned()], "");
        assert_eq!(parse("dangling=true").expect("valid").dangling, Some(true));
        assert!(matches!(
            parse("dangling=maybe"),
            Err(FilterError::Value { .. })
        ));
        assert!(matches!(parse("colour=red"), Err(FilterError::Key(_))));
    }
}
