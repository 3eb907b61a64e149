//! Durations and times as Docker writes them for people and in JSON.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What Docker prints for a time that never was.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Returns a rough duration: "5 seconds", "About a minute", "3 weeks".
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // Docker rounds hours to the nearest.
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 0..60, _) => format!("{minutes} minutes"),
        (.., 0..=1) => "About an hour".to_owned(),
        (.., 2..48) => format!("{hours} hours"),
        (.., 48..336) => format!("{} days", hours / 24),
        (.., 336..1440) => format!("{} weeks", hours / 24 / 7),
        (.., 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// Returns how long ago `then` was, never negative.
pub(crate) fn since(then: SystemTime) -> Duration {
    SystemTime::now().duration_since(then).unwrap_or_default()
}

/// Returns a time as RFC 3339 in UTC with nanoseconds; nothing becomes [`ZERO_TIME`].
pub(crate) fn rfc3339(time: Option<SystemTime>) -> String {
    time.and_then(|t| OffsetDateTime::from(t).format(&Rfc3339).ok())
        .unwrap_or_else(|| ZERO_TIME.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_dockers() {
        let text = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(text(0), "Less than a second");
        assert_eq!(text(1), "1 second");
        assert_eq!(text(59), "59 seconds");
        assert_eq!(text(60), "About a minute");
        assert_eq!(text(119), "About a minute");
        assert_eq!(text(150), "2 minutes");
        assert_eq!(text(3600), "About an hour");
        assert_eq!(text(3 * 3600), "3 hours");
        assert_eq!(text(49 * 3600), "2 days");
        assert_eq!(text(15 * 24 * 3600), "2 weeks");
        assert_eq!(text(70 * 24 * 3600), "2 months");
        assert_eq!(text(3 * 365 * 24 * 3600), "3 years");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(
            rfc3339(Some(SystemTime::UNIX_EPOCH)),
            "1970-01-01T00:00:00Z"
        );
        assert_eq!(rfc3339(None), ZERO_TIME);
    }
}
