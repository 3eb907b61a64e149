//! Moments, as the API's clients write and read them.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::error::ApiError;

/// Go's zero time.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// Writes a moment as Go's `RFC3339Nano`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let text = OffsetDateTime::from(time).format(&Rfc3339);
    text.unwrap_or_else(|_out_of_range| NEVER.to_owned())
}

/// Writes a moment with all nine digits, so that lines stay below one another.
pub(crate) fn in_log(time: SystemTime) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");
    let text = OffsetDateTime::from(time).format(format);
    text.unwrap_or_else(|_out_of_range| NEVER.to_owned())
}

/// Returns seconds and nanoseconds since 1970.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Reads `seconds[.fraction]` since 1970; nothing for an empty text or zero.
///
/// # Errors
/// When it is neither.
pub(crate) fn parse(text: &str) -> Result<Option<SystemTime>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || ApiError::bad_request(format!("invalid timestamp: {text:?}"));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_error| wrong())?;
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let nanos: u32 = format!("{fraction:0<9}")
        .parse()
        .map_err(|_error| wrong())?;
    let Ok(seconds) = u64::try_from(seconds) else {
        // Before everything that can have happened.
        return Ok(Some(SystemTime::UNIX_EPOCH));
    };
    if (seconds, nanos) == (0, 0) {
        return Ok(None);
    }
    let since = Duration::new(seconds, nanos);
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .map(Some)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read() {
        let time = parse("1700000000.5").expect("valid").expect("a moment");
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.5Z");
        assert_eq!(in_log(time), "2023-11-14T22:13:20.500000000Z");
        assert_eq!(since_epoch(time), Duration::new(1_700_000_000, 500_000_000));
        for nothing in ["", "0"] {
            assert_eq!(parse(nothing).expect("valid"), None);
        }
        for wrong in ["x", "1.x", "1.0000000001", "99999999999999999999"] {
            parse(wrong).expect_err(wrong);
        }
    }
}
