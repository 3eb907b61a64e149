//! `--restart`.

use berth_proto::v1::RestartPolicy;

/// Reads `NAME[:TRIES]`; nothing for an empty text. Which names there are is the agent's business.
pub(crate) fn parse(text: &str) -> Result<Option<RestartPolicy>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let (name, tries) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let maximum_retry_count = match tries {
        "" => 0,
        tries => tries.parse().map_err(|_error| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
    };
    Ok(Some(RestartPolicy {
        name: name.to_owned(),
        maximum_retry_count,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_may_have_a_number_of_tries() {
        let policy = parse("on-failure:3").unwrap().unwrap();
        assert_eq!(
            (policy.name.as_str(), policy.maximum_retry_count),
            ("on-failure", 3)
        );
        assert_eq!(parse("always").unwrap().unwrap().maximum_retry_count, 0);
        assert_eq!(parse("").unwrap(), None);
        assert!(
            parse("on-failure:x")
                .unwrap_err()
                .ends_with("must be an integer")
        );
        assert!(parse(":3").unwrap_err().ends_with("before colon"));
    }
}
