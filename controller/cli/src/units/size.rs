//! Sizes in bytes.

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// A size that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SizeError {
    #[error("invalid size: '{0}'")]
    Size(String),
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
    #[error("strconv.ParseFloat: parsing {}: invalid syntax", crate::ui::quote::quoted(.0))]
    Number(String),
}

/// Shows a size with decimal units and so many significant digits: "1.23MB".
#[expect(
    clippy::cast_precision_loss,
    reason = "for people, who see three digits"
)]
pub(crate) fn decimal(bytes: u64, digits: usize) -> String {
    scaled(bytes as f64, 1000.0, &DECIMAL, digits)
}

/// Shows a size with binary units and four significant digits: "1.953GiB".
#[expect(
    clippy::cast_precision_loss,
    reason = "for people, who see four digits"
)]
pub(crate) fn binary(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &BINARY, 4)
}

fn scaled(mut size: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{}{}", significant(size, digits), units[unit])
}

/// C's `%.*g`.
fn significant(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let wanted = i32::try_from(digits).unwrap_or(i32::MAX);
    if value != 0.0 && (exponent < -4 || exponent >= wanted) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(wanted - 1 - exponent).unwrap_or(0);
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

/// Reads a size as flags take it: a number with an optional `b`, `k`, `m`, `g`, `t` or `p`, each
/// 1024 times the one before.
pub(crate) fn parse(text: &str) -> Result<i64, SizeError> {
    let digits_end = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
        .ok_or_else(|| SizeError::Size(text.to_owned()))?;
    let suffix = &text[digits_end + 1..];
    let number = text[..=digits_end]
        .strip_suffix(' ')
        .unwrap_or(&text[..=digits_end]);
    let size: f64 = number
        .parse()
        .map_err(|_error| SizeError::Number(number.to_owned()))?;
    if size < 0.0 {
        return Err(SizeError::Size(text.to_owned()));
    }
    Ok(whole(size * multiplier(suffix)?))
}

fn multiplier(suffix: &str) -> Result<f64, SizeError> {
    let refused = |suffix: &str| Err(SizeError::Suffix(suffix.to_owned()));
    if suffix.is_empty() {
        return Ok(1.0);
    }
    if suffix.len() > 3 {
        return refused(suffix);
    }
    let lower = suffix.to_lowercase();
    let (unit, rest) = lower.split_at(lower.chars().next().map_or(0, char::len_utf8));
    match (unit, rest) {
        ("b", "") => Ok(1.0),
        ("k" | "m" | "g" | "t" | "p", "" | "b" | "ib") => {
            let power = "kmgtp".find(unit).map_or(0, |at| at + 1);
            Ok(1024f64.powi(i32::try_from(power).unwrap_or(0)))
        }
        _ => refused(&lower),
    }
}

/// Drops the fraction; what does not fit is cut off at the end of the range.
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, which is what is wanted"
)]
fn whole(size: f64) -> i64 {
    size as i64
}
