//! The time, on machines whose own clock may be behind.
//!
//! A machine that lost its clock's battery thinks that nobody's certificate is valid yet, and could
//! never be told the time. But it has a certificate of its own from somebody that it trusts, so that
//! it cannot be earlier than when that one was made.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::Validity;

/// Returns `now`, or the moment from which our own certificate is valid if that is later.
pub(crate) fn not_before(now: UnixTime, own: Option<&CertificateDer<'_>>) -> UnixTime {
    let began = own.and_then(|own| begin(own)).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().max(began)))
}

/// Returns the last moment at which a certificate is valid.
pub(crate) fn end(certificate: &[u8]) -> Option<UnixTime> {
    let seconds = u64::try_from(validity(certificate)?.not_after.timestamp()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// Returns when a certificate begins to be valid, in seconds since 1970.
fn begin(certificate: &[u8]) -> Option<u64> {
    u64::try_from(validity(certificate)?.not_before.timestamp()).ok()
}

fn validity(certificate: &[u8]) -> Option<Validity> {
    let (_rest, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().clone())
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
