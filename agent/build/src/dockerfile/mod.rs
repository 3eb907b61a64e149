//! Dockerfiles: text in, typed stages out. Nothing here touches files or the network.
//!
//! The parser is written here and not taken from a crate, because the agreement that counts is with
//! the one that people's Dockerfiles were written for, oddities included: what ends a statement,
//! which half-JSON is a shell command, which words are here-documents, and the messages. [`lines`]
//! makes statements, [`arguments`] and [`flags`] split them, [`interpret`] gives them types.

mod arguments;
mod duration;
mod flags;
mod heredoc;
mod instruction;
mod interpret;
mod lines;
mod node;
mod suggest;

use crate::quote::quoted;

pub use self::heredoc::Heredoc;
pub(crate) use self::heredoc::parse_heredoc;
pub use self::instruction::{Argument, CommandLine, Healthcheck, Instruction, Pair, Run, Transfer};

/// A Dockerfile.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// The escape character.
    pub escape: char,
    /// The front end that the file asks for (`# syntax=`).
    pub syntax: Option<String>,
    /// Arguments before the first `FROM`, each with its line.
    pub global_arguments: Vec<(u32, Argument)>,
    /// The stages in their order.
    pub stages: Vec<Stage>,
    /// Sentences about what is allowed but unwise.
    pub warnings: Vec<String>,
}

/// One `FROM` with what follows it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The image or earlier stage, not yet expanded.
    pub base: String,
    /// The name given with `AS`, in lower case.
    pub name: Option<String>,
    /// `--platform`, not yet expanded.
    pub platform: String,
    /// The `FROM` line.
    pub source: Source,
    /// The instructions.
    pub statements: Vec<Statement>,
}

/// An instruction and where it stands.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The instruction.
    pub instruction: Instruction,
    /// The keyword as written.
    pub keyword: String,
    /// Where it stands.
    pub source: Source,
}

/// A place in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The first line, from 1.
    pub line: u32,
    /// The last line.
    pub end_line: u32,
    /// The statement, its lines joined.
    pub text: String,
}

/// Text that is no Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line at fault, if it is one line's.
    pub line: Option<u32>,
    /// What is wrong.
    pub problem: SyntaxProblem,
}

/// What can be wrong with a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SyntaxProblem {
    #[error("file with no instructions")]
    NoInstructions,
    #[error("no build stage in current context")]
    NoStage,
    #[error("unterminated heredoc")]
    UnterminatedHeredoc,
    #[error("only one {0} parser directive can be used")]
    DirectiveTwice(String),
    #[error("invalid escape token '{0}' does not match ` or \\")]
    EscapeToken(String),
    #[error("unknown instruction: {keyword}{}", meant(hint.as_deref()))]
    UnknownInstruction {
        keyword: String,
        hint: Option<String>,
    },
    #[error("unknown flag: --{flag}{}", meant(hint.as_deref()))]
    UnknownFlag { flag: String, hint: Option<String> },
    #[error("duplicate flag specified: --{0}")]
    FlagTwice(String),
    #[error("missing a value on flag: --{0}")]
    FlagWithoutValue(String),
    #[error("expecting boolean value for flag --{flag}, not: {value}")]
    FlagNotBoolean { flag: String, value: String },
    #[error("{0} requires at least one argument")]
    AtLeastOneArgument(&'static str),
    #[error("{0} requires exactly one argument")]
    ExactlyOneArgument(&'static str),
    #[error("{0} must have two arguments")]
    TwoArguments(&'static str),
    #[error(
        "{0} requires at least two arguments, but only one was provided. \
         Destination could not be determined"
    )]
    NoDestination(&'static str),
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(&'static str),
    #[error("{0} requires the arguments to be in JSON form")]
    NotJson(&'static str),
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    JsonNotStrings,
    #[error(
        "Syntax error - can't find = in {}. Must be of the form: name=value", quoted(.0)
    )]
    NoEqualsSign(String),
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    #[error(
        "invalid name for build stage: {}, name can't start with a number or contain symbols",
        quoted(.0)
    )]
    StageName(String),
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    OnbuildChain,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    OnbuildTrigger(String),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone,
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthcheckCommand,
    #[error("Unknown type {} in HEALTHCHECK (try CMD)", quoted(.0))]
    HealthcheckType(String),
    #[error("invalid duration {} for --{flag}", quoted(value))]
    Duration { flag: &'static str, value: String },
    #[error("Interval {} cannot be less than 1ms", quoted(.0))]
    ShortInterval(&'static str),
    #[error("invalid number {} for --retries", quoted(.0))]
    Retries(String),
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    MountFromVariable,
    #[error("invalid network mode {}", quoted(.0))]
    NetworkMode(String),
}

fn meant(hint: Option<&str>) -> String {
    hint.map(|hint| format!(" (did you mean {hint}?)"))
        .unwrap_or_default()
}

// === impl SyntaxError ===

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "dockerfile parse error on line {line}: {}", self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for SyntaxError {}

// === impl Dockerfile ===

impl Dockerfile {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    ///
    /// A statement is not well formed, or there is none.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        interpret::dockerfile(lines::statements(text)?)
    }
}

/// Reads the statement that an `ONBUILD` kept.
///
/// # Errors
///
/// It is not well formed.
pub(crate) fn parse_trigger(text: &str) -> Result<Instruction, SyntaxError> {
    interpret::trigger(lines::statements(text)?)
}

/// An instruction that belongs to no stage: its keyword in capitals, and what it says.
pub(crate) type Loose = (String, Result<Instruction, SyntaxError>);

/// Reads instructions that belong to no stage.
///
/// # Errors
///
/// The text is not well formed. What is wrong with a single instruction stands in its place.
pub(crate) fn parse_statements(text: &str) -> Result<Vec<Loose>, SyntaxError> {
    Ok(interpret::loose(lines::statements(text)?))
}

#[cfg(test)]
mod tests;
