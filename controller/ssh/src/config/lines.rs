//! A configuration file as keywords and words.

/// One line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// In small letters.
    pub(super) keyword: String,
    pub(super) words: Vec<String>,
    /// All that follows the keyword, for commands.
    pub(super) rest: String,
    pub(super) number: usize,
}

pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Line, usize>> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        Some(parse(line, index + 1).ok_or(index + 1))
    })
}

/// Reads `keyword value`, `keyword=value` and `keyword "value with spaces"`.
pub(super) fn parse(line: &str, number: usize) -> Option<Line> {
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let keyword = line[..end].trim_matches('"').to_lowercase();
    let mut rest = line[end..].trim_start();
    rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    let words = words(rest)?;
    (!keyword.is_empty()).then(|| Line {
        keyword,
        words,
        rest: rest.to_owned(),
        number,
    })
}

/// Splits words; quotes keep spaces, `#` at the start of a word ends the line. `None` for a quote
/// that is left open.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        match letters.peek() {
            None | Some('#') => return Some(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(&letter) = letters.peek() {
            if quote.is_none() && letter.is_whitespace() {
                break;
            }
            letters.next();
            match letter {
                '\\' if letters
                    .peek()
                    .is_some_and(|&next| matches!(next, '"' | '\'' | '\\')) =>
                {
                    word.extend(letters.next());
                }
                '"' | '\'' if quote.is_none() => quote = Some(letter),
                letter if quote == Some(letter) => quote = None,
                letter => word.push(letter),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}
