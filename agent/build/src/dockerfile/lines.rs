//! From text to statements: continuation lines, comments, parser directives and here-documents.

use super::heredoc::{Heredoc, heredocs_in, strip_tabs};
use super::node::Node;
use super::{SyntaxError, SyntaxProblem};

/// What the lines of a Dockerfile say, before the meaning of instructions is looked at.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) nodes: Vec<Node>,
    pub(crate) escape: char,
    pub(crate) syntax: Option<String>,
    pub(crate) warnings: Vec<String>,
}

/// Splits a Dockerfile into statements.
pub(crate) fn statements(text: &str) -> Result<Statements, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        lines: text.split_inclusive('\n'),
        number: 0,
        directives: Directives::default(),
        comments: Vec::new(),
        warnings: Vec::new(),
    };
    let mut nodes = Vec::new();
    while let Some(node) = reader.statement()? {
        nodes.extend(node);
    }
    if nodes.is_empty() {
        return Err(SyntaxError {
            line: None,
            problem: SyntaxProblem::NoInstructions,
        });
    }
    Ok(Statements {
        nodes,
        escape: reader.directives.escape(),
        syntax: reader.directives.syntax,
        warnings: reader.warnings,
    })
}

/// `# name=value` lines at the top.
#[derive(Default)]
struct Directives {
    done: bool,
    escape: Option<char>,
    syntax: Option<String>,
    check: Option<String>,
}

struct Reader<'a> {
    lines: std::str::SplitInclusive<'a, char>,
    number: u32,
    directives: Directives,
    /// The comments right above the next statement.
    comments: Vec<String>,
    warnings: Vec<String>,
}

// === impl Directives ===

impl Directives {
    fn escape(&self) -> char {
        self.escape.unwrap_or('\\')
    }

    /// Takes a line that may be a directive. The first line that is none ends them all.
    /// Says whether it was one.
    fn take(&mut self, line: &str) -> Result<bool, SyntaxProblem> {
        let Some((name, value)) = directive(line).filter(|_| !self.done) else {
            self.done = true;
            return Ok(false);
        };
        let slot = match name.as_str() {
            "escape" => {
                let escape = match value {
                    "`" => '`',
                    "\\" => '\\',
                    other => return Err(SyntaxProblem::EscapeToken(other.to_owned())),
                };
                let before = self.escape.replace(escape);
                return before.map_or(Ok(true), |_| Err(SyntaxProblem::DirectiveTwice(name)));
            }
            "syntax" => &mut self.syntax,
            "check" => &mut self.check,
            _ => {
                self.done = true;
                return Ok(false);
            }
        };
        let before = slot.replace(value.to_owned());
        before.map_or(Ok(true), |_| Err(SyntaxProblem::DirectiveTwice(name)))
    }
}

/// Splits `# name = value`.
fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let letters = name.starts_with(|ch: char| ch.is_ascii_alphabetic())
        && name.chars().all(|ch| ch.is_ascii_alphanumeric());
    (letters && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}

// === impl Reader ===

impl Reader<'_> {
    fn raw_line(&mut self) -> Option<String> {
        let line = self.lines.next()?;
        self.number += 1;
        Some(line.to_owned())
    }

    /// Reads on to the end of one statement; `Some(None)` for a line without any.
    fn statement(&mut self) -> Result<Option<Option<Node>>, SyntaxError> {
        let Some(raw) = self.raw_line() else {
            return Ok(None);
        };
        let start = self.number;
        let at = |line: u32| {
            move |problem| SyntaxError {
                line: Some(line),
                problem,
            }
        };
        let first = trim_newline(&raw).trim_start();
        let is_directive = self.directives.take(first).map_err(at(start))?;
        if let Some(comment) = first.strip_prefix('#') {
            self.comment(comment.trim(), is_directive);
            return Ok(Some(None));
        }
        let (text, ends) = strip_continuation(first, self.directives.escape());
        if ends && text.is_empty() {
            return Ok(Some(None));
        }
        let mut line = text.to_owned();
        if !ends {
            self.continuation(&mut line);
        }
        let mut node = Node::parse(
            &line,
            self.directives.escape(),
            std::mem::take(&mut self.comments),
        )
        .map_err(at(start))?;
        if node.can_contain_heredoc() {
            for heredoc in heredocs_in(&line) {
                let heredoc = self.heredoc_content(heredoc).map_err(at(start))?;
                node.heredocs.push(heredoc);
            }
        }
        (node.start_line, node.end_line) = (start, self.number);
        Ok(Some(Some(node)))
    }

    /// Keeps a comment for the statement below it; an empty one ends a paragraph.
    fn comment(&mut self, comment: &str, is_directive: bool) {
        if comment.is_empty() {
            self.comments.clear();
        } else if !is_directive {
            self.comments.push(comment.to_owned());
        }
    }

    /// Appends the lines that continue a statement; comments between them do not count.
    fn continuation(&mut self, line: &mut String) {
        let mut has_empty = false;
        while let Some(raw) = self.raw_line() {
            let text = trim_newline(&raw);
            if text.trim_start().starts_with('#') {
                continue;
            }
            if text.trim_start().is_empty() {
                has_empty = true;
                continue;
            }
            let (text, ends) = strip_continuation(text, self.directives.escape());
            line.push_str(text);
            if ends {
                break;
            }
        }
        if has_empty {
            self.warnings
                .push(format!("Empty continuation line found in: {line}"));
        }
    }

    /// Reads the lines up to the terminator.
    fn heredoc_content(&mut self, mut heredoc: Heredoc) -> Result<Heredoc, SyntaxProblem> {
        while let Some(raw) = self.raw_line() {
            let line = trim_newline(&raw);
            let line = if heredoc.chomp {
                strip_tabs(line)
            } else {
                line
            };
            if line == heredoc.name {
                return Ok(heredoc);
            }
            heredoc.content.push_str(&raw);
        }
        Err(SyntaxProblem::UnterminatedHeredoc)
    }
}

fn trim_newline(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// Takes a continuation mark off the end; says whether the statement ends here. A doubled escape is
/// an escaped escape, not a mark.
fn strip_continuation(line: &str, escape: char) -> (&str, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(text) if !text.ends_with(escape) => (text, false),
        _ => (line, true),
    }
}
