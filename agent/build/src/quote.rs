//! Quoted strings as Docker's messages show them.

use std::fmt::Write as _;

/// Returns the text in double quotes, with control characters, quotes and backslashes escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for ch in text.chars() {
        match ch {
            '"' | '\\' => out.extend(['\\', ch]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            // Writing to a String cannot fail.
            '\0'..='\u{1f}' | '\u{7f}' => drop(write!(out, "\\x{:02x}", u32::from(ch))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
