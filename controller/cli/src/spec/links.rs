//! `--link`.

/// Checks `CONTAINER[:ALIAS]`.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if text.matches(':').count() > 1 {
        return Err(format!("bad format for links: {text}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_link_has_at_most_one_alias() {
        assert_eq!(parse("db").unwrap(), "db");
        assert_eq!(parse("db:store").unwrap(), "db:store");
        assert_eq!(parse("a:b:c").unwrap_err(), "bad format for links: a:b:c");
        parse("").unwrap_err();
    }
}
