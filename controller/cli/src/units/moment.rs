//! Moments as `--since` and `--until` take them, and as logs show them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::duration;

/// A text that is no moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse value as time or duration: {}", crate::ui::quote::quoted(.0))]
pub(crate) struct MomentError(String);

/// Reads a moment: a span before `now` ("10m"), seconds since 1970 with an optional fraction, or a
/// date with or without a time and a zone (the local one if none is given).
pub(crate) fn parse(text: &str, now: &Zoned) -> Result<Timestamp, MomentError> {
    let refused = || MomentError(text.to_owned());
    if let Some(span) = duration::parse(text) {
        return now
            .timestamp()
            .checked_sub(span)
            .map_err(|_error| refused());
    }
    if let Some(moment) = unix(text) {
        return Ok(moment);
    }
    let (local, offset) = split_offset(text);
    let zone = match offset {
        None => now.time_zone().clone(),
        Some(seconds) => {
            let offset = jiff::tz::Offset::from_seconds(seconds).map_err(|_error| refused())?;
            TimeZone::fixed(offset)
        }
    };
    let local = civil(local).ok_or_else(refused)?;
    let moment = local.to_zoned(zone).map_err(|_error| refused())?;
    Ok(moment.timestamp())
}

/// Seconds since 1970, "1136073600" or "1136073600.000000001".
fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanos: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    Timestamp::new(seconds.parse().ok()?, nanos.parse().ok()?).ok()
}

/// Takes "Z" or "+07:00" off the end; returns it in seconds east.
fn split_offset(text: &str) -> (&str, Option<i32>) {
    if let Some(local) = text.strip_suffix('Z') {
        return (local, Some(0));
    }
    let Some(at) = text.len().checked_sub(6) else {
        return (text, None);
    };
    let Some((local, offset)) = text.split_at_checked(at) else {
        return (text, None);
    };
    // Only behind a time: the end of a mere date looks alike.
    if !local.contains('T') {
        return (text, None);
    }
    let sign = match offset.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return (text, None),
    };
    let parts = offset[1..].split_once(':');
    let seconds = parts.and_then(|(hours, minutes)| {
        let hours: i32 = hours.parse().ok()?;
        let minutes: i32 = minutes.parse().ok()?;
        Some(sign * (hours * 3600 + minutes * 60))
    });
    match seconds {
        Some(seconds) => (local, Some(seconds)),
        None => (text, None),
    }
}

/// A date and as much of a time as there is, every number in full width.
fn civil(text: &str) -> Option<DateTime> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let date: Date = if date.len() == 10 {
        date.parse().ok()?
    } else {
        return None;
    };
    let completed = match time {
        None => return Some(date.at(0, 0, 0, 0)),
        Some(time) => match time.len() {
            2 => format!("{time}:00:00"),
            5 => format!("{time}:00"),
            length if length >= 8 => time.to_owned(),
            _ => return None,
        },
    };
    let time: jiff::civil::Time = completed.parse().ok()?;
    Some(date.to_datetime(time))
}

/// A moment with nine digits of a second, in UTC, as logs show it.
pub(crate) fn in_log(seconds: i64, nanos: i32) -> String {
    match Timestamp::new(seconds, nanos) {
        Ok(moment) => moment.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string(),
        Err(_) => "0001-01-01T00:00:00.000000000Z".to_owned(),
    }
}

/// Shows a moment as programs read it, in the local zone: "2026-11-21T18:00:00Z".
pub(crate) fn rfc3339(unix_seconds: i64) -> String {
    let moment = Timestamp::from_second(unix_seconds).unwrap_or_default();
    let zoned = moment.to_zoned(TimeZone::system());
    let zone = if zoned.offset().is_zero() { "Z" } else { "%:z" };
    zoned
        .strftime(&format!("%Y-%m-%dT%H:%M:%S{zone}"))
        .to_string()
}

/// A moment in the local zone as Go prints it: "2026-11-21 11:38:00 +0000 UTC".
pub(crate) fn local(unix_seconds: i64) -> String {
    let moment = Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let zoned = moment.to_zoned(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}
