//! Text made fit for other languages: Go's `html`, `js` and `urlquery`.

use std::fmt::Write as _;

/// For a web page.
pub(super) fn html(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => output.push_str("&amp;"),
            '<' => output.push_str("&lt;"),
            '>' => output.push_str("&gt;"),
            '"' => output.push_str("&#34;"),
            '\'' => output.push_str("&#39;"),
            c => output.push(c),
        }
    }
    output
}

/// For a string of JavaScript.
pub(super) fn js(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => output.push_str("\\\\"),
            '\'' => output.push_str("\\'"),
            '"' => output.push_str("\\\""),
            '<' | '>' | '&' | '=' => {
                // Writing to a String cannot fail.
                let _ = write!(output, "\\u{:04X}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(output, "\\u{:04X}", u32::from(c));
            }
            c => output.push(c),
        }
    }
    output
}

/// For the query of an address.
pub(super) fn url(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => output.push('+'),
            b'-' | b'_' | b'.' | b'~' => output.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => output.push(char::from(byte)),
            byte => {
                let _ = write!(output, "%{byte:02X}");
            }
        }
    }
    output
}
