//! What `--format` needs: the subset of Go's template language that people write there (text,
//! fields, variables, `if`, `range`, `with`, pipelines and Docker's functions, over JSON values),
//! and how Go sets tables, quotes texts and indents JSON.
//!
//! Plain functions on texts. Deliberately not here: `define`, `template` and `block`, which no one
//! writes into a `--format`, and everything that prints.

mod escape;
mod eval;
mod functions;
pub mod json;
mod lexer;
mod parser;
mod printf;
pub mod quote;
pub mod table;
mod text;
mod typed;

use serde_json::Value;

use parser::Node;

/// Key of a row under which `.Label "name"` looks; it is not shown with the row itself.
pub const HIDDEN_LABELS: &str = "\0labels";

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

/// What a field that does not exist is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It prints as `<no value>`, as in docker-machine.
    NoValue,
    /// It is an error, as of a map.
    Error,
    /// It is an error, as of the rows of docker's lists.
    Field,
    /// It is an error, as in docker's `inspect`; what is null or an object is printed as what Go has
    /// there, a list, a map or a structure.
    Typed,
}

/// Whose functions a template may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Docker's: Go's own and many more.
    #[default]
    Docker,
    /// docker-machine's `inspect`: Go's own, `json` and `prettyjson`.
    Inspect,
    /// docker-machine's `ls`: Go's own.
    Go,
}

/// How a template is rendered.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What becomes of unknown fields.
    pub missing: Missing,
    /// Functions that change a value leave it alone: the "row" is the headings of a table.
    pub heading: bool,
    /// JSON is written so that it can stand in a web page, as Go does it unless told not to.
    pub escape_html: bool,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("template parsing error: {}", self.in_go())]
pub struct TemplateError {
    line: usize,
    column: usize,
    problem: String,
}

// === impl TemplateError ===

impl TemplateError {
    /// Says whether the template is one, but does not fit the data.
    #[must_use]
    pub fn while_filling_in(&self) -> bool {
        self.problem.starts_with("executing")
    }

    /// Returns the problem as Go's template package words it, without Docker's words before it.
    #[must_use]
    pub fn in_go(&self) -> String {
        let Self {
            line,
            column,
            problem,
        } = self;
        if self.while_filling_in() {
            format!("template: :{line}:{column}: {problem}")
        } else {
            format!("template: :{line}: {problem}")
        }
    }
}

// === impl Template ===

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// When it is not one, with the place.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        Self::parse_as(Dialect::Docker, source)
    }

    /// Reads a template that may call only the functions of `dialect`.
    ///
    /// # Errors
    ///
    /// As [`Template::parse`].
    pub fn parse_as(dialect: Dialect, source: &str) -> Result<Self, TemplateError> {
        let segments = lexer::segments(source).map_err(|fault| fault.located(source))?;
        let foreign = lexer::words(&segments)
            .find(|(_, word)| functions::exists(word) && !functions::belongs(word, dialect));
        if let Some((at, word)) = foreign {
            let problem = format!("function {word:?} not defined");
            return Err(Fault::new(at, problem).located(source));
        }
        let nodes = parser::parse(segments).map_err(|fault| fault.located(source))?;
        Ok(Self { nodes })
    }

    /// Fills the template in with `data`. `source` is the text it was parsed from.
    ///
    /// # Errors
    ///
    /// When a field is missing (and that matters) or a function refuses its arguments.
    pub fn render(
        &self,
        source: &str,
        data: &Value,
        options: Options,
    ) -> Result<String, TemplateError> {
        eval::render(&self.nodes, data, options).map_err(|fault| fault.located(source))
    }
}

/// Parses and renders in one go.
///
/// # Errors
///
/// As [`Template::parse`] and [`Template::render`].
pub fn render(source: &str, data: &Value, missing: Missing) -> Result<String, TemplateError> {
    let options = Options {
        missing,
        heading: false,
        escape_html: false,
    };
    Template::parse(source)?.render(source, data, options)
}

/// Writes a value as Go's JSON encoder does.
pub fn json(value: &Value) -> String {
    text::json(value)
}

/// A problem at a byte of the source.
#[derive(Debug)]
struct Fault {
    at: usize,
    problem: String,
}

// === impl Fault ===

impl Fault {
    fn new(at: usize, problem: impl Into<String>) -> Self {
        Self {
            at,
            problem: problem.into(),
        }
    }

    fn located(self, source: &str) -> TemplateError {
        let before = source.get(..self.at).unwrap_or(source);
        TemplateError {
            line: before.matches('\n').count() + 1,
            column: before.len() - before.rfind('\n').map_or(0, |at| at + 1),
            problem: self.problem,
        }
    }
}

#[cfg(test)]
mod inspect_tests;
#[cfg(test)]
mod tests;
