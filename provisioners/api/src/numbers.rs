//! Numbers that no number type of this program holds, kept letter by letter.
//!
//! Drivers are opaque, and some keep identifiers as numbers of twenty digits and more. Such a
//! number is a text with a mark in memory, and a number again when it is written. So it is between the
//! store and a driver's [`crate::Machine::config`], and a driver that hands its configuration on to
//! somebody else does the same there.

use std::borrow::Cow;

use serde_json::Value;

/// Begins the texts that are numbers; no JSON text of people begins with it.
const MARK: &str = "\u{0}number:";
/// The mark as it is written in JSON.
const WRITTEN: &str = "\"\\u0000number:";

/// Puts numbers that would lose digits into marked texts.
#[must_use]
pub fn keep(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut kept = String::new();
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'-' | b'0'..=b'9' => {
                let end = bytes[at..]
                    .iter()
                    .position(|byte| {
                        !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                    })
                    .map_or(bytes.len(), |length| at + length);
                let number = &text[at..end];
                if loses_digits(number) {
                    kept.push_str(&text[copied..at]);
                    kept.push_str(WRITTEN);
                    kept.push_str(number);
                    kept.push('"');
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[copied..]);
    Cow::Owned(kept)
}

/// Writes marked texts as the numbers that they are.
#[must_use]
pub fn restore(written: Vec<u8>) -> Vec<u8> {
    // What was written is text.
    let Ok(text) = String::from_utf8(written) else {
        return Vec::new();
    };
    if !text.contains(WRITTEN) {
        return text.into_bytes();
    }
    let mut restored = String::with_capacity(text.len());
    let mut parts = text.split(WRITTEN);
    restored.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (number, rest) = part.split_once('"').unwrap_or((part, ""));
        restored.push_str(number);
        restored.push_str(rest);
    }
    restored.into_bytes()
}

/// Turns marked texts into the nearest number, for whoever only looks.
pub fn approximate(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(number) = text.strip_prefix(MARK) {
                *value = number.parse::<f64>().map_or(Value::Null, Value::from);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(approximate),
        Value::Object(map) => map.values_mut().for_each(approximate),
        _ => {}
    }
}

/// Returns where the string that begins at `start` ends.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn loses_digits(number: &str) -> bool {
    if !number.contains(['.', 'e', 'E']) {
        return number.len() > 18
            && number.parse::<i64>().is_err()
            && number.parse::<u64>().is_err()
            && is_integer(number);
    }
    false
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_come_back_letter_by_letter() {
        let text = r#"{"a":123456789012345678901234567890,"b":"12345678901234567890123 \" 99999999999999999999999","c":[-99999999999999999999,18446744073709551615,-1,1.5e3]}"#;
        let value: Value = serde_json::from_str(&keep(text)).unwrap();
        assert_eq!(value["c"][1], u64::MAX);
        assert_eq!(
            String::from_utf8(restore(serde_json::to_vec(&value).unwrap())).unwrap(),
            text.replace("1.5e3", "1500.0")
        );
        let mut view = value;
        approximate(&mut view);
        assert!(view["a"].is_number() && view["b"].is_string());
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        for text in ["", "\"", "\"\\", "{\"a\": 1", "-", "99999999999999999999x"] {
            let kept = keep(text);
            assert!(serde_json::from_str::<Value>(&kept).is_err(), "{text:?}");
        }
    }
}
