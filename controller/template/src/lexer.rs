//! Cuts a template into text and actions, and actions into tokens.

use super::Fault;

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Segment {
    /// Literal text.
    Text(String),
    /// The tokens of one `{{…}}`.
    Action(Vec<Token>),
}

/// A token and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
    /// White space came before it; `.A .B` is two operands, `.A.B` one.
    pub(super) spaced: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A lone `.`.
    Dot,
    /// `.Name`.
    Field(String),
    /// `$` or `$name`.
    Variable(String),
    Word(String),
    /// A string, and how it was written.
    Text(String, String),
    /// A letter in single quotes, and how it was written.
    Letter(char, String),
    Number(String),
    Open,
    Close,
    Pipe,
    Comma,
    Declare,
    Assign,
}

/// Cuts `source` up; trim markers (`{{-`, `-}}`) are obeyed and comments dropped.
pub(super) fn segments(source: &str) -> Result<Vec<Segment>, Fault> {
    let mut segments = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    while at < source.len() {
        let open = source[at..].find("{{").map(|offset| at + offset);
        let mut text = &source[at..open.unwrap_or(source.len())];
        if trim_next {
            text = text.trim_start();
        }
        let Some(open) = open else {
            push_text(&mut segments, text);
            return Ok(segments);
        };
        let mut inside = open + 2;
        if source[inside..].starts_with("- ") {
            text = text.trim_end();
            inside += 2;
        }
        push_text(&mut segments, text);
        let (tokens, end, trim) = action(source, open, inside)?;
        if !tokens.is_empty() {
            segments.push(Segment::Action(tokens));
        }
        at = end;
        trim_next = trim;
    }
    Ok(segments)
}

/// Returns the words in all actions, and where they are.
pub(super) fn words(segments: &[Segment]) -> impl Iterator<Item = (usize, &str)> {
    let actions = segments.iter().filter_map(|segment| match segment {
        Segment::Action(tokens) => Some(tokens),
        Segment::Text(_) => None,
    });
    actions.flatten().filter_map(|token| match &token.kind {
        Kind::Word(word) => Some((token.at, word.as_str())),
        _ => None,
    })
}

fn push_text(segments: &mut Vec<Segment>, text: &str) {
    if !text.is_empty() {
        segments.push(Segment::Text(text.to_owned()));
    }
}

/// Reads one action from `at` on; returns its tokens, where it ends and whether it trims.
fn action(source: &str, open: usize, at: usize) -> Result<(Vec<Token>, usize, bool), Fault> {
    if source[at..].starts_with("/*") {
        return comment(source, open, at);
    }
    let mut tokens = Vec::new();
    let mut at = at;
    loop {
        let rest = &source[at..];
        let body = rest.trim_start();
        let spaced = body.len() < rest.len();
        let start = at + rest.len() - body.len();
        if spaced && body.starts_with("-}}") {
            return Ok((tokens, start + 3, true));
        }
        if body.starts_with("}}") {
            return Ok((tokens, start + 2, false));
        }
        if body.is_empty() {
            return Err(Fault::new(open, "unclosed action"));
        }
        let (kind, length) = token(body).map_err(|problem| Fault::new(start, problem))?;
        tokens.push(Token {
            at: start,
            kind,
            spaced,
        });
        at = start + length;
    }
}

fn comment(source: &str, open: usize, at: usize) -> Result<(Vec<Token>, usize, bool), Fault> {
    let unclosed = || Fault::new(open, "unclosed comment");
    let end = at + source[at..].find("*/").ok_or_else(unclosed)? + 2;
    match &source[end..] {
        rest if rest.starts_with("}}") => Ok((Vec::new(), end + 2, false)),
        rest if rest.starts_with(" -}}") => Ok((Vec::new(), end + 4, true)),
        _ => Err(Fault::new(open, "comment ends before closing delimiter")),
    }
}

/// Reads the token that `body` begins with; returns it and its length.
fn token(body: &str) -> Result<(Kind, usize), String> {
    let first = body.chars().next().unwrap_or(' ');
    let second = body[first.len_utf8()..].chars().next().unwrap_or(' ');
    match first {
        '(' => Ok((Kind::Open, 1)),
        ')' => Ok((Kind::Close, 1)),
        '|' => Ok((Kind::Pipe, 1)),
        ',' => Ok((Kind::Comma, 1)),
        ':' if second == '=' => Ok((Kind::Declare, 2)),
        '=' => Ok((Kind::Assign, 1)),
        '"' => quoted(body, '"').map(|(text, length)| {
            let written = body[..length].to_owned();
            (Kind::Text(text, written), length)
        }),
        '\'' => letter(body),
        '`' => {
            let end = body[1..]
                .find('`')
                .ok_or("unterminated raw quoted string")?;
            let written = body[..end + 2].to_owned();
            Ok((Kind::Text(body[1..=end].to_owned(), written), end + 2))
        }
        '.' if is_word(second) && !second.is_ascii_digit() => {
            let name = word(&body[1..]);
            Ok((Kind::Field(name.to_owned()), name.len() + 1))
        }
        '.' => Ok((Kind::Dot, 1)),
        '$' => {
            let name = word(&body[1..]);
            Ok((Kind::Variable(name.to_owned()), name.len() + 1))
        }
        '-' | '+' | '0'..='9' => {
            let sign = usize::from(!first.is_ascii_digit());
            let length = body[sign..]
                .find(|c: char| !is_word(c) && c != '.')
                .unwrap_or(body.len() - sign);
            Ok((
                Kind::Number(body[..sign + length].to_owned()),
                sign + length,
            ))
        }
        c if is_word(c) => {
            let name = word(body);
            Ok((Kind::Word(name.to_owned()), name.len()))
        }
        other => Err(format!("unexpected {other:?} in command")),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// Reads a letter in single quotes.
fn letter(body: &str) -> Result<(Kind, usize), String> {
    let malformed = || "malformed character constant".to_owned();
    let (text, length) = quoted(body, '\'').map_err(|_error| malformed())?;
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok((Kind::Letter(letter, body[..length].to_owned()), length)),
        _ => Err(malformed()),
    }
}

/// Reads what stands in quotes, with Go's escapes; returns it and its length with the quotes.
fn quoted(body: &str, quote: char) -> Result<(String, usize), String> {
    let mut text = String::new();
    let mut chars = body.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((text, at + 1)),
            '\n' => break,
            '\\' => {
                let (_, escape) = chars.next().ok_or("unterminated quoted string")?;
                let mut hex = |digits: usize| {
                    let code: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                    u32::from_str_radix(&code, 16).ok().and_then(char::from_u32)
                };
                let decoded = match escape {
                    'n' => Some('\n'),
                    't' => Some('\t'),
                    'r' => Some('\r'),
                    'a' => Some('\u{7}'),
                    'b' => Some('\u{8}'),
                    'f' => Some('\u{c}'),
                    'v' => Some('\u{b}'),
                    '"' | '\\' | '\'' => Some(escape),
                    'x' => hex(2),
                    'u' => hex(4),
                    'U' => hex(8),
                    _ => None,
                };
                text.push(decoded.ok_or("invalid syntax")?);
            }
            c => text.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}
