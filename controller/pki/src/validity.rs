//! How long certificates are good for.

use time::{Duration, OffsetDateTime};

/// How long the authority is good for; machines are re-made more often than this.
const AUTHORITY_LIFE: Duration = Duration::days(3650);
/// How long a certificate is good for: docker-machine's 1080 days.
const CERTIFICATE_LIFE: Duration = Duration::days(1080);
/// Certificates begin a little in the past, as hosts' clocks differ.
const CLOCK_SKEW: Duration = Duration::minutes(5);
/// A certificate with less time left than this is renewed; a short one when a third is left.
const RENEW_BEFORE: Duration = Duration::days(30);
/// The authority is renewed longer before: all that trust it must hear of it.
const RENEW_AUTHORITY_BEFORE: Duration = Duration::days(180);

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub not_before: OffsetDateTime,
    /// Its last.
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// Returns the usual time of a machine's or client's certificate made now.
    #[must_use]
    pub fn usual(now: OffsetDateTime) -> Self {
        Self::lasting(now, CERTIFICATE_LIFE)
    }

    /// Returns the usual time of an authority made now.
    #[must_use]
    pub fn of_authority(now: OffsetDateTime) -> Self {
        Self::lasting(now, AUTHORITY_LIFE)
    }

    /// Returns the time from now, as clocks may differ, for as long as `life`.
    #[must_use]
    pub fn lasting(now: OffsetDateTime, life: Duration) -> Self {
        Self {
            not_before: now - CLOCK_SKEW,
            not_after: now + life,
        }
    }

    /// Returns whether it is over.
    #[must_use]
    pub fn is_over(&self, now: OffsetDateTime) -> bool {
        self.not_after <= now
    }

    /// Returns whether a certificate should be renewed now.
    #[must_use]
    pub fn is_ending(&self, now: OffsetDateTime) -> bool {
        self.left_is_less(now, RENEW_BEFORE)
    }

    /// Returns whether an authority should be renewed now.
    #[must_use]
    pub fn is_ending_for_authority(&self, now: OffsetDateTime) -> bool {
        self.left_is_less(now, RENEW_AUTHORITY_BEFORE)
    }

    /// Returns the whole days that are left; negative ones have passed since the end.
    #[must_use]
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        (self.not_after - now).as_seconds_f64().div_euclid(86400.0) as i64
    }

    fn left_is_less(&self, now: OffsetDateTime, than: Duration) -> bool {
        let third = (self.not_after - self.not_before) / 3;
        self.not_after - now < than.min(third)
    }
}

impl From<OffsetDateTime> for Validity {
    /// The usual time from this moment on.
    fn from(now: OffsetDateTime) -> Self {
        Self::usual(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_certificates_are_renewed_a_month_before_and_short_ones_in_their_last_third() {
        let now = OffsetDateTime::now_utc();
        let long = Validity::usual(now);
        assert!(!long.is_ending(now + Duration::days(1049)));
        assert!(long.is_ending(now + Duration::days(1051)));
        let short = Validity {
            not_before: now,
            not_after: now + Duration::minutes(30),
        };
        assert!(!short.is_ending(now + Duration::minutes(19)));
        assert!(short.is_ending(now + Duration::minutes(21)));
        assert!(short.is_over(now + Duration::minutes(30)));
    }

    #[test]
    fn days_are_whole_and_go_on_below_zero() {
        let now = OffsetDateTime::now_utc();
        let validity = Validity {
            not_before: now,
            not_after: now + Duration::hours(47),
        };
        assert_eq!(validity.days_left(now), 1);
        assert_eq!(validity.days_left(now + Duration::hours(48)), -1);
    }
}
