//! What is asked after the question mark.

use berth_agent_engine::FilterArgs;

use crate::error::ApiError;

/// Parameters of a call, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// Returns the first value of a parameter.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns all values of a parameter.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(name, _)| name == key);
        pairs.map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a parameter; empty for none, which is the same to Docker.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// Whether a parameter says yes, in Docker's eyes.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        let word = self.text(key).trim().to_lowercase();
        !matches!(word.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// As [`Query::is_true`], or `otherwise` when the parameter is not there.
    pub(crate) fn is_true_or(&self, key: &str, otherwise: bool) -> bool {
        match self.get(key) {
            Some(_) => self.is_true(key),
            None => otherwise,
        }
    }

    /// Returns a number; nothing for none.
    ///
    /// # Errors
    /// When it is no number.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let text = self.text(key);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_not_a_number| {
            // Go's words, which some clients show to their users.
            let sentence = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
            ApiError::bad_request(sentence)
        })
    }

    /// Returns the filters.
    ///
    /// # Errors
    /// When they are not JSON.
    pub(crate) fn filters(&self) -> Result<FilterArgs, ApiError> {
        FilterArgs::from_json(self.text("filters"))
            .map_err(|error| ApiError::bad_request(error.to_string()))
    }

    /// Returns the filters as `key=value` texts, which the engine's lists take.
    ///
    /// # Errors
    /// When they are not JSON.
    pub(crate) fn filter_texts(&self) -> Result<Vec<String>, ApiError> {
        Ok(texts(&self.filters()?))
    }
}

/// Returns filters as `key=value` texts.
pub(crate) fn texts(filters: &FilterArgs) -> Vec<String> {
    let of_key = |key| {
        filters
            .values(key)
            .map(move |value| format!("{key}={value}"))
    };
    filters.keys().flat_map(of_key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_truths_are_dockers() {
        let query = Query::parse("all=1&none=none&no=False&t=a%2Fb%3A1&t=c+d&empty=&n=x");
        assert_eq!(query.all("t").collect::<Vec<_>>(), ["a/b:1", "c d"]);
        assert!(query.is_true("all"));
        for key in ["none", "no", "empty", "absent"] {
            assert!(!query.is_true(key), "{key}");
        }
        assert!(query.is_true_or("absent", true) && !query.is_true_or("no", true));
        assert_eq!(query.number("all").ok(), Some(Some(1)));
        assert_eq!(query.number("absent").ok(), Some(None));
        query.number("n").expect_err("no number");
    }

    #[test]
    fn both_forms_of_filters_become_texts() {
        for form in [
            r#"{"label":{"a=b":true},"status":{"exited":true}}"#,
            r#"{"label":["a=b"],"status":["exited"]}"#,
        ] {
            let encoded: String = form_urlencoded::byte_serialize(form.as_bytes()).collect();
            let query = Query::parse(&format!("filters={encoded}"));
            let texts = query.filter_texts().expect("filters");
            assert_eq!(texts, ["label=a=b", "status=exited"]);
        }
        Query::parse("filters=x").filters().expect_err("not JSON");
    }
}
