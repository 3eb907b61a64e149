//! Text in double quotes with Go's escapes, as tables show commands.

use std::fmt::Write as _;

/// Quotes a text.
pub fn quoted(text: &str) -> String {
    let mut output = String::with_capacity(text.len() + 2);
    output.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                output.push('\\');
                output.push(c);
            }
            '\n' => output.push_str("\\n"),
            '\t' => output.push_str("\\t"),
            '\r' => output.push_str("\\r"),
            '\u{7}' => output.push_str("\\a"),
            '\u{8}' => output.push_str("\\b"),
            '\u{b}' => output.push_str("\\v"),
            '\u{c}' => output.push_str("\\f"),
            c if c.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(output, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(output, "\\u{:04x}", u32::from(c));
            }
            c => output.push(c),
        }
    }
    output.push('"');
    output
}

/// Shortens a text to at most `width` characters, the last of them an ellipsis.
pub fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_as_go_does() {
        assert_eq!(
            quoted("sh -c 'a\"b\\'\n\u{1}é"),
            r#""sh -c 'a\"b\\'\n\x01é""#
        );
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(
            ellipsis("/docker-entrypoint.sh nginx", 20),
            "/docker-entrypoint.…"
        );
        assert_eq!(ellipsis("short", 20), "short");
    }
}
