//! The shapes that arguments come in: JSON arrays, lists of words, plain text, `name=value` pairs.

use serde_json::Value;

use super::SyntaxProblem;

/// The arguments of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) values: Vec<String>,
    /// They were a JSON array.
    pub(crate) json: bool,
}

// === impl Arguments ===

impl Arguments {
    pub(crate) fn words(values: Vec<String>) -> Self {
        Self {
            values,
            json: false,
        }
    }
}

/// The characters that separate words of a statement.
pub(crate) fn is_blank(ch: char) -> bool {
    matches!(ch, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// One argument: everything.
pub(crate) fn text(rest: &str) -> Arguments {
    let values = if rest.is_empty() {
        Vec::new()
    } else {
        vec![rest.to_owned()]
    };
    Arguments::words(values)
}

/// Words between blanks; quotes mean nothing.
pub(crate) fn list(rest: &str) -> Arguments {
    Arguments::words(
        rest.split(is_blank)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

/// A JSON array, or everything as one argument.
pub(crate) fn json_or_text(rest: &str) -> Result<Arguments, SyntaxProblem> {
    Ok(json(rest)?.unwrap_or_else(|| text(rest)))
}

/// A JSON array, or words between blanks.
pub(crate) fn json_or_list(rest: &str) -> Result<Arguments, SyntaxProblem> {
    Ok(json(rest)?.unwrap_or_else(|| list(rest)))
}

/// `None` when the text is no JSON array at all, which is no error: it means something else then.
fn json(rest: &str) -> Result<Option<Arguments>, SyntaxProblem> {
    if !rest.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(rest) else {
        return Ok(None);
    };
    let strings = values.into_iter().map(|value| match value {
        Value::String(text) => Ok(text),
        _ => Err(SyntaxProblem::JsonNotStrings),
    });
    Ok(Some(Arguments {
        values: strings.collect::<Result<_, _>>()?,
        json: true,
    }))
}

/// The type of check, then a command.
pub(crate) fn health(rest: &str) -> Result<Arguments, SyntaxProblem> {
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if kind.is_empty() {
        return Ok(Arguments::default());
    }
    let mut arguments = json_or_text(command.trim_start())?;
    arguments.values.insert(0, kind.to_owned());
    Ok(arguments)
}

/// `name=value …`, or the old form `name value`. Each pair gives three values: name, value and what
/// stood between them.
pub(crate) fn pairs(
    rest: &str,
    keyword: &'static str,
    escape: char,
) -> Result<Arguments, SyntaxProblem> {
    let words = words(rest, escape);
    let Some(first) = words.first() else {
        return Ok(Arguments::default());
    };
    let mut values = Vec::new();
    if first.contains('=') {
        for word in &words {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| SyntaxProblem::NoEqualsSign(word.clone()))?;
            values.extend([name.to_owned(), value.to_owned(), "=".to_owned()]);
        }
    } else {
        let (name, value) = rest
            .split_once(is_blank)
            .ok_or(SyntaxProblem::TwoArguments(keyword))?;
        let value = value.trim_start_matches(is_blank);
        values.extend([name.to_owned(), value.to_owned(), String::new()]);
    }
    Ok(Arguments::words(values))
}

/// Words between spaces, where quotes and escapes hold spaces together. Both stay in the words, for
/// the expansion that comes later.
pub(crate) fn words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut has_quotes = false;
    let mut quote: Option<char> = None;
    let mut chars = rest.chars();
    while let Some(ch) = chars.next() {
        match quote {
            None if ch.is_whitespace() => {
                if has_quotes || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                has_quotes = false;
            }
            None if ch == '\'' || ch == '"' => {
                quote = Some(ch);
                has_quotes = true;
                word.push(ch);
            }
            // In single quotes nothing can be escaped. An escape at the very end is dropped.
            _ if ch == escape && quote != Some('\'') => {
                if let Some(escaped) = chars.next() {
                    word.extend([ch, escaped]);
                }
            }
            _ => {
                if quote == Some(ch) {
                    quote = None;
                }
                word.push(ch);
            }
        }
    }
    if has_quotes || !word.is_empty() {
        words.push(word);
    }
    words
}
