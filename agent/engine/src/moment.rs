//! Moments as filters take them: a span before now (`10m`), seconds since 1970 with an optional
//! fraction, or a date with or without a time and a zone. Without a zone it is UTC.

use std::time::{Duration, SystemTime};

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

/// A text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse value as time or duration: {0:?}")]
pub(crate) struct InvalidMoment(String);

/// Reads a moment.
pub(crate) fn parse(text: &str, now: SystemTime) -> Result<SystemTime, InvalidMoment> {
    let found = match span(text) {
        Some(span) => now.checked_sub(span),
        None => unix(text).or_else(|| date(text)),
    };
    found.ok_or_else(|| InvalidMoment(text.to_owned()))
}

/// Reads a span as Go writes it: `1h30m`, `1.5s`.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
        rest = &rest[end..];
    }
    (!text.is_empty()).then_some(total)
}

fn unix(text: &str) -> Option<SystemTime> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let nanos: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let since = Duration::new(seconds.parse().ok()?, nanos.parse().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn date(text: &str) -> Option<SystemTime> {
    if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(moment.into());
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return None;
    };
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let mut numbers = time.split(':').filter(|part| !part.is_empty());
    let mut next = || {
        numbers
            .next()
            .map_or(Some(0), |part| part.parse::<u8>().ok())
    };
    let time = Time::from_hms(next()?, next()?, next()?).ok()?;
    Some(date.with_time(time).assume_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_seconds_and_dates_are_moments() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let seconds = |text: &str| {
            let moment = parse(text, now).expect(text);
            moment
                .duration_since(SystemTime::UNIX_EPOCH)
                .expect("after 1970")
                .as_secs_f64()
        };
        for (text, expected) in [
            ("10m", 999_400.0),
            ("1h30m", 994_600.0),
            ("1.5s", 999_998.5),
            ("1136073600.5", 1_136_073_600.5),
            ("2006-01-02", 1_136_160_000.0),
            ("2006-01-02T15:04", 1_136_214_240.0),
            ("2006-01-02T15:04:05", 1_136_214_245.0),
            ("2006-01-02T15:04:05Z", 1_136_214_245.0),
            ("2006-01-02T15:04:05+07:00", 1_136_189_045.0),
        ] {
            assert!((seconds(text) - expected).abs() < 1e-3, "{text}");
        }
        for wrong in ["", "x", "10", "-1s", "2006-13-01", "2006-01-02T25"] {
            let found = parse(wrong, now);
            // Bare digits are seconds since 1970.
            assert_eq!(found.is_ok(), wrong == "10", "{wrong}");
        }
    }
}
