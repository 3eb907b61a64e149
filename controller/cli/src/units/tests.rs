use std::time::Duration;

use super::{duration, moment, size, vectors};

#[test]
fn sizes_agree_with_go_units() {
    for vector in vectors("units.json").unwrap_or_default() {
        let input = vector["input"].as_str().unwrap();
        match size::parse(input) {
            Ok(bytes) => assert_eq!(vector["ram_bytes"], bytes, "{input:?}"),
            Err(error) => assert_eq!(vector["ram_error"], error.to_string(), "{input:?}"),
        }
    }
}

#[test]
fn spans_agree_with_go_units() {
    for vector in vectors("human_duration.json").unwrap_or_default() {
        let seconds = vector["seconds"].as_f64().unwrap();
        let shown = duration::human(Duration::from_secs_f64(seconds));
        assert_eq!(vector["text"], shown, "{seconds}");
    }
}

#[test]
fn moments_agree_with_docker() {
    let now = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let now = now.to_zoned(jiff::tz::TimeZone::UTC);
    for vector in vectors("timestamps.json").unwrap_or_default() {
        let input = vector["input"].as_str().unwrap();
        match moment::parse(input, &now) {
            Ok(found) => {
                assert_eq!(vector["sec"], found.as_second(), "{input:?}");
                assert_eq!(vector["nsec"], found.subsec_nanosecond(), "{input:?}");
            }
            Err(_) => assert!(vector["error"].is_string(), "{input:?} is refused"),
        }
    }
}

#[test]
fn sizes_have_so_many_digits() {
    assert_eq!(size::decimal(0, 3), "0B");
    assert_eq!(size::decimal(4_261_502, 3), "4.26MB");
    assert_eq!(size::decimal(1_000, 3), "1kB");
    assert_eq!(size::decimal(999_600, 3), "1e+03kB");
    assert_eq!(size::decimal(150_000_000, 4), "150MB");
    assert_eq!(size::binary(25_769_803_776), "24GiB");
    assert_eq!(size::binary(2_097_152_000), "1.953GiB");
}

#[test]
fn logs_show_nine_digits() {
    assert_eq!(
        moment::in_log(1_700_000_000, 5),
        "2023-11-14T22:13:20.000000005Z"
    );
}

#[test]
fn spans_of_flags_have_units() {
    assert_eq!(duration::nanos("1m30s"), Ok(90_000_000_000));
    assert_eq!(duration::nanos("-1ms"), Ok(-1_000_000));
    assert_eq!(duration::nanos("0"), Ok(0));
    for (text, expected) in [
        ("5", "time: missing unit in duration \"5\""),
        ("5q", "time: unknown unit \"q\" in duration \"5q\""),
        ("x", "time: invalid duration \"x\""),
        ("", "time: invalid duration \"\""),
    ] {
        assert_eq!(duration::nanos(text).unwrap_err(), expected);
    }
}
