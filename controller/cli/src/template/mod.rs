//! The subset of Go's template language that `--format` needs: text, fields, variables, `if`,
//! `range`, `with`, pipelines and Docker's functions, over JSON values.
//!
//! Deliberately not here: `define`, `template` and `block`, which no one writes into a `--format`.

mod eval;
mod functions;
mod lexer;
mod parser;
mod printf;
mod text;

use serde_json::Value;

use parser::Node;

/// Key of a row under which `.Label "name"` looks; it is not shown with the row itself.
pub(crate) const HIDDEN_LABELS: &str = "\0labels";

/// A parsed template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
}

/// What a field that does not exist is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It prints as `<no value>`, as in docker-machine.
    NoValue,
    /// It is an error, as in docker.
    Error,
}

/// How a template is rendered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// What becomes of unknown fields.
    pub(crate) missing: Missing,
    /// Functions that change a value leave it alone: the "row" is the headings of a table.
    pub(crate) heading: bool,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("template parsing error: template: :{line}:{column}: {problem}")]
pub(crate) struct TemplateError {
    line: usize,
    column: usize,
    problem: String,
}

// === impl Template ===

impl Template {
    /// Reads a template.
    pub(crate) fn parse(source: &str) -> Result<Self, TemplateError> {
        let segments = lexer::segments(source).map_err(|fault| fault.located(source))?;
        let nodes = parser::parse(segments).map_err(|fault| fault.located(source))?;
        Ok(Self { nodes })
    }

    /// Fills the template in with `data`. `source` is the text it was parsed from.
    pub(crate) fn render(
        &self,
        source: &str,
        data: &Value,
        options: Options,
    ) -> Result<String, TemplateError> {
        eval::render(&self.nodes, data, options).map_err(|fault| fault.located(source))
    }
}

/// Parses and renders in one go.
pub(crate) fn render(
    source: &str,
    data: &Value,
    missing: Missing,
) -> Result<String, TemplateError> {
    let options = Options {
        missing,
        heading: false,
    };
    Template::parse(source)?.render(source, data, options)
}

/// Writes a value as Go's JSON encoder does.
pub(crate) fn json(value: &Value) -> String {
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
mod tests;
