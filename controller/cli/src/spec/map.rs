//! `NAME=VALUE` flags that together are a map.

/// Cuts texts at the first equals sign; one without is a name with an empty value.
pub(crate) fn pairs(texts: &[String]) -> impl Iterator<Item = (String, String)> {
    texts.iter().map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    })
}
