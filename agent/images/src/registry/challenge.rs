//! Reading `WWW-Authenticate`.

/// What a registry wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password.
    Basic,
    /// A token from somewhere else.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

/// Returns the challenges in a header's value; schemes that nobody here knows are left out.
pub(super) fn parse(value: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c.is_whitespace() || c == ',')
            .unwrap_or(rest.len());
        let scheme = rest[..end].to_ascii_lowercase();
        let (parameters, after) = parameters(&rest[end..]);
        let find = |name: &str| {
            let mut all = parameters.iter();
            all.find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        match (scheme.as_str(), find("realm")) {
            ("basic", _) => challenges.push(Challenge::Basic),
            ("bearer", Some(realm)) => challenges.push(Challenge::Bearer {
                realm,
                service: find("service"),
            }),
            _ => {}
        }
        rest = after;
    }
    challenges
}

/// Reads `key=value` pairs as far as they go, and returns what follows them.
fn parameters(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let is_key = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let end = rest.find(|c| !is_key(c)).unwrap_or(rest.len());
        let Some(after) = rest[end..].trim_start().strip_prefix('=') else {
            // No equals sign: the next scheme begins here, unless nothing sensible does.
            return (found, if end == 0 { "" } else { rest });
        };
        let key = rest[..end].to_ascii_lowercase();
        let (value, after) = value(after.trim_start());
        found.push((key, value));
        rest = after;
    }
}

fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| c.is_whitespace() || c == ',')
            .unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            c if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Challenge, parse};

    #[test]
    fn bearer_and_basic_are_found_in_any_order() {
        let bearer = Challenge::Bearer {
            realm: "https://auth.example.org/token".to_owned(),
            service: Some("reg, \"one\"".to_owned()),
        };
        let text = r#"Bearer realm="https://auth.example.org/token",service="reg, \"one\"",scope="x:y:pull,push""#;
        assert_eq!(parse(text).first(), Some(&bearer));
        let both = format!(r#"Negotiate, Basic realm="x", {text}"#);
        assert_eq!(parse(&both), [Challenge::Basic, bearer]);
        assert_eq!(parse("Bearer"), []);
        assert_eq!(parse("Basic realm=plain"), [Challenge::Basic]);
    }

    proptest! {
        #[test]
        fn any_header_is_read_to_its_end(text in any::<String>()) {
            parse(&text);
        }
    }
}
