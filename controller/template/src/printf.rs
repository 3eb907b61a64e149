//! `printf`, as far as templates use it: `%s %v %d %q %x %f %t %c %U %o %b %e %g %T %%` with width,
//! `-`, `+`, `0` and precision.

use serde_json::Value;

use super::text;

#[derive(Default)]
struct Verb {
    left: bool,
    zeros: bool,
    plus: bool,
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
            verb.plus |= flag == '+';
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
    let extra: Vec<String> = values
        .map(|value| format!("{}={}", text::kind_of_argument(value), text::print(value)))
        .collect();
    if !extra.is_empty() {
        output.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
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
            ('T', value) => text::kind_of_argument(value).to_owned(),
            ('v', Value::Null) => "<nil>".to_owned(),
            ('v', value) => text::print(value),
            ('s', Value::String(text)) => match self.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text.clone(),
            },
            ('s', Value::Array(_) | Value::Object(_)) => text::print(value),
            ('q', Value::String(text)) => crate::quote::quoted(text),
            ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('X', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
            ('t', Value::Bool(flag)) => flag.to_string(),
            (kind, Value::Number(number)) => self
                .number(kind, number)
                .unwrap_or_else(|| misfit(kind, value)),
            (kind, value) => misfit(kind, value),
        }
    }

    /// A number, if the verb is one for it.
    fn number(&self, kind: char, number: &serde_json::Number) -> Option<String> {
        let sign = if self.plus { "+" } else { "" };
        if matches!(kind, 'e' | 'f' | 'F' | 'g') {
            let value = number.as_f64().filter(|_| number.is_f64())?;
            let sign = if value < 0.0 { "" } else { sign };
            let precision = self.precision.unwrap_or(6);
            return Some(match kind {
                'e' => format!("{sign}{}", exponential(value, precision)),
                'g' => format!("{sign}{value}"),
                _ => format!("{sign}{value:.precision$}"),
            });
        }
        let value = number.as_i64()?;
        let (minus, size) = (if value < 0 { "-" } else { sign }, value.unsigned_abs());
        Some(match kind {
            'd' => format!("{minus}{size}"),
            'x' => format!("{minus}{size:x}"),
            'X' => format!("{minus}{size:X}"),
            'o' => format!("{minus}{size:o}"),
            'b' => format!("{minus}{size:b}"),
            'c' => char::from_u32(u32::try_from(size).ok()?)?.to_string(),
            'U' => format!("U+{size:04X}"),
            _ => return None,
        })
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

/// What is printed where verb and value do not go together.
fn misfit(kind: char, value: &Value) -> String {
    if value.is_null() {
        return format!("%!{kind}(<nil>)");
    }
    let printed = text::print(value);
    format!("%!{kind}({}={printed})", text::kind_of_argument(value))
}

/// With an exponent of at least two digits.
fn exponential(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}
