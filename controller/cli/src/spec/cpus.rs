//! `--cpus`.

/// Reads a decimal number of CPUs as billionths.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let refused = || format!("failed to parse {text} as a rational number");
    let (sign, number) = match text.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(refused());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    format!("{sign}{whole}{fraction:0<9}")
        .parse()
        .map_err(|_error| refused())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn cpus_become_billionths() {
        assert_eq!(parse("1.5"), Ok(1_500_000_000));
        assert_eq!(parse(".25"), Ok(250_000_000));
        assert_eq!(parse("0.0000000010"), Ok(1));
        parse("0.0000000001").unwrap_err();
        parse("").unwrap_err();
        parse("two").unwrap_err();
        // The agent says what is wrong with it.
        assert_eq!(parse("-1"), Ok(-1_000_000_000));
    }
}
