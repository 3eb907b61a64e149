//! `--device-cgroup-rule`.

/// Checks a rule such as "c 10:229 rwm"; stars stand for any number.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let refused = || format!("invalid device cgroup format '{text}'");
    let mut words = text.split(' ');
    let (Some(kind), Some(numbers), Some(access), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(refused());
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(refused)?;
    let number = |text: &str| {
        text == "*" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let letters = (1..=3).contains(&access.len()) && access.bytes().all(|b| b"rwm".contains(&b));
    if matches!(kind, "a" | "b" | "c") && number(major) && number(minor) && letters {
        Ok(text.to_owned())
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn rules_have_a_kind_numbers_and_letters() {
        for rule in ["c 10:229 rwm", "b *:* r", "a 7:* rw"] {
            assert_eq!(parse(rule).unwrap(), rule);
        }
        for text in [
            "x",
            "c 1:3",
            "d 1:3 r",
            "c 1 r",
            "c 1:3 rwmr",
            "c 1:3 q",
            "c :3 r",
        ] {
            assert_eq!(
                parse(text).unwrap_err(),
                format!("invalid device cgroup format '{text}'")
            );
        }
    }
}
