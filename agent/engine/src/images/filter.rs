//! Filters of image lists: `dangling=true`, `label=a=b`, `reference=app:*`, …

use std::time::SystemTime;

use berth_agent_images::{Image, Reference};

use super::pattern::Pattern;
use crate::filters::{FilterArgs, FilterError};
use crate::moment;

/// The keys that lists know.
const KEYS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

/// Conditions that all must hold; of several patterns one is enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageFilters {
    args: FilterArgs,
    dangling: Option<bool>,
    patterns: Vec<Pattern>,
    until: Option<SystemTime>,
}

impl ImageFilters {
    /// Reads `key=value` texts and the argument of `images`, which is one more pattern.
    pub(crate) fn parse(texts: &[String], reference: &str) -> Result<Self, FilterError> {
        let args = FilterArgs::parse(texts)?;
        args.validate(&KEYS)?;
        let dangling = match args.contains("dangling") {
            true => Some(args.truth("dangling", false)?),
            false => None,
        };
        let given = Some(reference).filter(|reference| !reference.is_empty());
        let patterns = args.values("reference").chain(given).map(|text| {
            // Written in full, the same repository is meant.
            let familiar = Reference::parse(text).map(|reference| reference.familiar());
            Pattern::parse(familiar.as_deref().unwrap_or(text))
                .ok_or_else(|| FilterError::Sentence("syntax error in pattern".to_owned()))
        });
        Ok(Self {
            dangling,
            patterns: patterns.collect::<Result<_, _>>()?,
            until: until(&args)?,
            args,
        })
    }

    /// Names of images that must be newer, or older.
    pub(crate) fn bounds(&self, key: &str) -> impl Iterator<Item = &str> {
        self.args.values(key)
    }

    /// Tells whether an image is meant, and leaves it only the names that are. `is_step` says whether
    /// it is no more than a step of others, unless steps are wanted.
    pub(crate) fn select(&self, image: &mut Image, created: i64, is_step: bool) -> bool {
        if !self
            .args
            .match_kv_list("label", &image.config.config.labels)
            || self.until.is_some_and(|until| !is_before(created, until))
        {
            return false;
        }
        if !self.patterns.is_empty() {
            let is_meant = |name: &String| self.patterns.iter().any(|p| is_named(p, name));
            image.repo_tags.retain(is_meant);
            image.repo_digests.retain(is_meant);
        }
        if image.repo_tags.is_empty() && image.repo_digests.is_empty() {
            !is_step && self.dangling != Some(false) && self.patterns.is_empty()
        } else {
            self.dangling != Some(true) || image.repo_tags.is_empty()
        }
    }
}

/// Reads the one moment under `until`.
pub(super) fn until(args: &FilterArgs) -> Result<Option<SystemTime>, FilterError> {
    let mut values = args.values("until");
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        let sentence = "more than one until filter specified".to_owned();
        return Err(FilterError::Sentence(sentence));
    }
    let until = first.map(|text| moment::parse(text, SystemTime::now()));
    until
        .transpose()
        .map_err(|error| FilterError::Sentence(error.to_string()))
}

/// Whether a moment in seconds since 1970 is not after another.
pub(super) fn is_before(seconds: i64, bound: SystemTime) -> bool {
    let bound = bound.duration_since(SystemTime::UNIX_EPOCH);
    let bound = bound.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    });
    seconds <= bound
}

fn is_named(pattern: &Pattern, name: &str) -> bool {
    let repository = match name.split_once('@') {
        Some((repository, _)) => repository,
        None => name
            .rsplit_once(':')
            .map_or(name, |(repository, _)| repository),
    };
    pattern.matches(name) || pattern.matches(repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImageFilters, FilterError> {
        ImageFilters::parse(&[text.to_owned()], "")
    }

    #[test]
    fn filters_are_read_and_nonsense_is_refused() {
        assert_eq!(parse("dangling=true").expect("valid").dangling, Some(true));
        let refused = |text| parse(text).expect_err("wrong").to_string();
        assert_eq!(
            refused("dangling=maybe"),
            "invalid filter 'dangling=[maybe]'"
        );
        assert_eq!(refused("colour=red"), "invalid filter 'colour'");
        assert_eq!(refused("reference=[a"), "syntax error in pattern");
        parse("until=x").expect_err("no moment");
    }

    #[test]
    fn patterns_are_of_the_whole_name_or_the_repository() {
        let matches = |pattern: &str, name: &str| {
            is_named(&Pattern::parse(pattern).expect("a pattern"), name)
        };
        assert!(matches("app:*", "app:1.2"));
        assert!(matches("app", "app:1"));
        assert!(matches("*/app", "team/app@sha256:00"));
        assert!(!matches("app", "app2:1"));
        assert!(!matches("app:1", "app:12"));
    }
}
