//! The time, on machines whose own clock may be behind.
//!
//! A machine that lost its clock's battery thinks that nobody's certificate is valid yet, and could
//! never be told the time. But it has a certificate of its own from somebody that it trusts, so that
//! it cannot be earlier than when that one was made.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Returns `now`, or the moment from which our own certificate is valid if that is later.
pub(crate) fn not_before(now: UnixTime, own: Option<&CertificateDer<'_>>) -> UnixTime {
    let began = own.and_then(|own| begin(own)).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().max(began)))
}

/// Reads when a certificate begins to be valid, in seconds since 1970.
fn begin(certificate: &[u8]) -> Option<u64> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut signed, _) = element(certificate, SEQUENCE)?;
    if let Some((_version, rest)) = element(signed, VERSION) {
        signed = rest;
    }
    // The serial number, the algorithm and the issuer stand before the validity.
    for _ in 0..3 {
        signed = any(signed)?.2;
    }
    let (validity, _) = element(signed, SEQUENCE)?;
    let (kind, text, _) = any(validity)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    match kind {
        UTC_TIME => {
            let (year, rest) = number(text, 2)?;
            // By RFC 5280.
            seconds(if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = number(text, 4)?;
            seconds(year, rest)
        }
        _ => None,
    }
}

/// Returns the content of the first element if it is of this kind, and what follows.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(der)?;
    (found == kind).then_some((content, rest))
}

/// Returns the kind and content of the first element, and what follows.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length > 0x7f {
        let (digits, after) = rest.split_at_checked(length & 0x7f)?;
        if digits.len() > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*kind, content, rest))
}

fn number(text: &str, digits: usize) -> Option<(u64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}

/// Returns the seconds since 1970 of a year and the digits of month, day, hour, minute and second.
fn seconds(year: u64, rest: &str) -> Option<u64> {
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, _) = number(rest, 2)?;
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let before: u64 = (1970..year)
        .map(|year| 365 + u64::from(is_leap(year)))
        .sum();
    let months = [
        31,
        28 + u64::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let n_months = usize::try_from(month - 1).ok()?;
    let days = before + months.iter().take(n_months).sum::<u64>() + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate(year: i32, month: u8, day: u8) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["m".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(year, month, day);
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn moments_are_read_in_both_forms() {
        for (date, expected) in [
            ((2000, 2, 29), 951_782_400),
            ((2026, 11, 21), 1_795_219_200),
            ((2060, 1, 1), 2_840_140_800),
        ] {
            let (year, month, day) = date;
            assert_eq!(
                begin(&certificate(year, month, day)),
                Some(expected),
                "{date:?}"
            );
        }
        assert_eq!(begin(b"\x30\x84\xff\xff\xff\xff"), None);
        assert_eq!(begin(b""), None);
    }

    #[test]
    fn clocks_that_are_behind_are_set_right_and_others_left_alone() {
        let own = certificate(2026, 11, 21);
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        assert_eq!(not_before(at(0), Some(&own)).as_secs(), 1_795_219_200);
        assert_eq!(
            not_before(at(2_000_000_000), Some(&own)).as_secs(),
            2_000_000_000
        );
        assert_eq!(not_before(at(5), None).as_secs(), 5);
    }
}
