//! `printf`, as far as templates use it: `%s %v %d %q %x %f %t %%` with width, `-`, `0` and
//! precision.

use serde_json::Value;

use super::text;

#[derive(Default)]
struct Verb {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats `values` by `format`, with Go's notes (`%!d(string=x)`) where they do not fit.
pub(super) fn format(format: &str, values: &[Value]) -> String {
    let mut output = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            output.push(c);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '0' | '+' | '#' | ' ')) {
            verb.left |= flag == '-';
            verb.zeros |= flag == '0';
        }
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            verb.width = wider(verb.width, digit);
        }
        if chars.next_if_eq(&'.').is_some() {
            let mut precision = 0;
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                precision = wider(precision, digit);
            }
            verb.precision = Some(precision);
        }
        match chars.next() {
            Some('%') => output.push('%'),
            None => output.push_str("%!(NOVERB)"),
            Some(kind) => match values.next() {
                Some(value) => output.push_str(&verb.padded(verb.body(kind, value))),
                None => output.push_str(&format!("%!{kind}(MISSING)")),
            },
        }
    }
    output
}

/// Appends a digit; a width over a thousand is a slip, not a wish.
fn wider(width: usize, digit: char) -> usize {
    let digit = digit.to_digit(10).unwrap_or(0) as usize;
    (width * 10 + digit).min(1000)
}

// === impl Verb ===

impl Verb {
    fn body(&self, kind: char, value: &Value) -> String {
        match (kind, value) {
            ('v', value) => text::print(value),
            ('s', Value::String(text)) => match self.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text.clone(),
            },
            ('s', Value::Array(_) | Value::Object(_)) => text::print(value),
            ('q', Value::String(text)) => crate::quote::quoted(text),
            ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('d', Value::Number(number)) if number.is_i64() || number.is_u64() => {
                number.to_string()
            }
            ('x', Value::Number(number)) if number.is_u64() => {
                format!("{:x}", number.as_u64().unwrap_or(0))
            }
            ('f', Value::Number(number)) => {
                let precision = self.precision.unwrap_or(6);
                format!("{:.precision$}", number.as_f64().unwrap_or(0.0))
            }
            ('t', Value::Bool(flag)) => flag.to_string(),
            (kind, value) => format!("%!{kind}({}={})", text::kind(value), text::print(value)),
        }
    }

    fn padded(&self, body: String) -> String {
        let missing = self.width.saturating_sub(body.chars().count());
        match (missing, self.left, self.zeros) {
            (0, ..) => body,
            (_, true, _) => body + &" ".repeat(missing),
            (_, false, true) => "0".repeat(missing) + &body,
            (_, false, false) => " ".repeat(missing) + &body,
        }
    }
}
