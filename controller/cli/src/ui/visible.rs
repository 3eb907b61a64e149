//! Text of others, made harmless: what a host or an agent says must not steer our terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns the text with everything that would steer a terminal written out, such as `\x1b`. Ends
/// of lines and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match u32::from(c) {
            _ if !steers(c) => write!(shown, "{c}"),
            code @ 0..=0xff => write!(shown, "\\x{code:02x}"),
            code => write!(shown, "\\u{{{code:x}}}"),
        };
    }
    Cow::Owned(shown)
}

/// Returns the text as one visible line, with single blanks.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    visible(&words.join(" ")).into_owned()
}

/// Says whether a terminal does something other than show this.
fn steers(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // The order in which letters are shown can be turned round, and with it what they say.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_the_terminal_is_written_out() {
        assert_eq!(
            visible("a\u{1b}]0;title\u{7}b\u{9b}31mc\rd"),
            "a\\x1b]0;title\\x07b\\x9b31mc\\x0dd"
        );
        assert_eq!(visible("exe\u{202e}txt"), "exe\\u{202e}txt");
    }

    #[test]
    fn harmless_text_stays_as_it_is() {
        let text = "Käse\t😀\nnext";
        assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn lines_become_one() {
        assert_eq!(one_line("a\n  b\t\u{1b}c\n"), "a b \\x1bc");
    }
}
