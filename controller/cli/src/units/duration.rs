//! Spans of time.

use std::time::Duration;

use crate::ui::quote::quoted;

/// Shows a span the way people say it: "About a minute", "3 weeks".
pub(crate) fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    let days = hours / 24;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{days} days"),
        () if hours < 24 * 30 * 2 => format!("{} weeks", days / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", days / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Shows how long ago a moment was; one in the future (a clock that differs) was just now.
pub(crate) fn ago(unix_seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    let seconds = u64::try_from(now - unix_seconds).unwrap_or(0);
    format!("{} ago", human(Duration::from_secs(seconds)))
}

/// Reads a span as Go writes it: "1h30m", "1.5s", "300ms". `None` when it is none.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..number_end].parse().ok()?;
        rest = &rest[number_end..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

/// Reads a span with a sign, in nanoseconds, with the words of Go's parser for what is none.
pub(crate) fn nanos(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    let (negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let Some(span) = parse(number) else {
        let digits = number.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        if digits.is_empty() && number.contains(|c: char| c.is_ascii_digit()) {
            return Err(format!("time: missing unit in duration {}", quoted(text)));
        }
        let unit = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.');
        let unit = &unit[..end.unwrap_or(unit.len())];
        if number.starts_with(|c: char| c.is_ascii_digit()) {
            let unit = quoted(unit);
            return Err(format!(
                "time: unknown unit {unit} in duration {}",
                quoted(text)
            ));
        }
        return Err(invalid());
    };
    let nanos = i64::try_from(span.as_nanos()).map_err(|_error| invalid())?;
    Ok(if negative { -nanos } else { nanos })
}
