//! JSON for people: four spaces of indentation, as both Docker tools print it.

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// Formats a value over several lines.
pub fn indented(value: &Value) -> String {
    formatted(value, b"    ")
}

/// Formats a value over several lines, with tabs, as Docker keeps its own files.
pub fn tabbed(value: &Value) -> String {
    formatted(value, b"\t")
}

/// Writes the characters that mean something to a web page as numbers, as Go's encoder does.
#[must_use]
pub fn escape_html(json: &str) -> String {
    let mut output = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // Outside of strings JSON has none of these.
            '<' => output.push_str("\\u003c"),
            '>' => output.push_str("\\u003e"),
            '&' => output.push_str("\\u0026"),
            '\u{2028}' => output.push_str("\\u2028"),
            '\u{2029}' => output.push_str("\\u2029"),
            c => output.push(c),
        }
    }
    output
}

fn formatted(value: &Value, indent: &[u8]) -> String {
    let mut output = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut output, PrettyFormatter::with_indent(indent));
    // A `Value` always serialises, and a `Vec` takes every byte.
    let _ = value.serialize(&mut serializer);
    String::from_utf8_lossy(&output).into_owned()
}
