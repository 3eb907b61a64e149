//! Health checks of new containers: what is asked for, merged with the image's.

use serde_json::{Value, json};

use crate::options::HealthOptions;

/// Least time that may be given, a millisecond.
const LEAST_NANOS: i64 = 1_000_000;

/// A health check makes no sense. The names are those of Docker's fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthCheckError {
    /// Too short a time.
    #[error("{0} in Healthcheck cannot be less than 1ms")]
    TooShort(&'static str),
    /// Less than no tries.
    #[error("Retries in Healthcheck cannot be negative")]
    Retries,
}

/// Checks what is asked for.
pub(crate) fn check(options: &HealthOptions) -> Result<(), HealthCheckError> {
    for (name, nanos) in [
        ("Interval", options.interval_nanos),
        ("Timeout", options.timeout_nanos),
        ("StartPeriod", options.start_period_nanos),
        ("StartInterval", options.start_interval_nanos),
    ] {
        if nanos != 0 && nanos < LEAST_NANOS {
            return Err(HealthCheckError::TooShort(name));
        }
    }
    if options.retries < 0 {
        return Err(HealthCheckError::Retries);
    }
    Ok(())
}

/// Returns what is asked for, with the image's where nothing is said.
pub(crate) fn merge(asked: Option<&HealthOptions>, image: Option<&Value>) -> Option<HealthOptions> {
    let image = image.and_then(of_image);
    let Some(asked) = asked else { return image };
    let Some(image) = image else {
        return Some(asked.clone());
    };
    let or = |own: i64, images: i64| if own == 0 { images } else { own };
    Some(HealthOptions {
        test: if asked.test.is_empty() {
            image.test
        } else {
            asked.test.clone()
        },
        interval_nanos: or(asked.interval_nanos, image.interval_nanos),
        timeout_nanos: or(asked.timeout_nanos, image.timeout_nanos),
        start_period_nanos: or(asked.start_period_nanos, image.start_period_nanos),
        start_interval_nanos: or(asked.start_interval_nanos, image.start_interval_nanos),
        retries: or(asked.retries, image.retries),
    })
}

/// Reads an image's health check; one that makes no sense is none.
fn of_image(value: &Value) -> Option<HealthOptions> {
    let number = |key: &str| value.get(key).and_then(Value::as_i64).unwrap_or_default();
    let test = value.get("Test").and_then(Value::as_array);
    let words = test.into_iter().flatten().filter_map(Value::as_str);
    let options = HealthOptions {
        test: words.map(str::to_owned).collect(),
        interval_nanos: number("Interval"),
        timeout_nanos: number("Timeout"),
        start_period_nanos: number("StartPeriod"),
        start_interval_nanos: number("StartInterval"),
        retries: number("Retries"),
    };
    (value.is_object() && check(&options).is_ok()).then_some(options)
}

/// Returns a health check as images have it, and as Docker prints it: without what was not asked for.
pub(crate) fn as_json(check: &HealthOptions) -> Value {
    let mut value = json!({ "Test": check.test });
    for (key, number) in [
        ("Interval", check.interval_nanos),
        ("Timeout", check.timeout_nanos),
        ("StartPeriod", check.start_period_nanos),
        ("StartInterval", check.start_interval_nanos),
        ("Retries", check.retries),
    ] {
        if number != 0 {
            value[key] = json!(number);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_images() {
        let image = json!({ "Test": ["CMD", "ok"], "Interval": 5_000_000_000_i64, "Retries": 2 });
        let asked = HealthOptions {
            retries: 7,
            ..HealthOptions::default()
        };
        let merged = merge(Some(&asked), Some(&image)).expect("a check");
        assert_eq!(merged.test, ["CMD", "ok"]);
        assert_eq!((merged.interval_nanos, merged.retries), (5_000_000_000, 7));
        let none = HealthOptions {
            test: vec!["NONE".to_owned()],
            ..HealthOptions::default()
        };
        assert_eq!(
            merge(Some(&none), Some(&image)).expect("a check").test,
            ["NONE"]
        );
        assert_eq!(merge(None, Some(&json!({ "Interval": 1 }))), None);
        assert_eq!(merge(None, None), None);
    }

    #[test]
    fn nonsense_is_refused_in_dockers_words() {
        let short = HealthOptions {
            timeout_nanos: 5,
            ..HealthOptions::default()
        };
        let error = check(&short).expect_err("too short");
        assert_eq!(
            error.to_string(),
            "Timeout in Healthcheck cannot be less than 1ms"
        );
        let negative = HealthOptions {
            retries: -1,
            ..HealthOptions::default()
        };
        assert_eq!(check(&negative), Err(HealthCheckError::Retries));
    }
}
