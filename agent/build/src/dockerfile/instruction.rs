//! What a Dockerfile says, typed.

use std::time::Duration;

use super::heredoc::Heredoc;

/// An instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the instruction of its name")]
pub enum Instruction {
    Add(Transfer),
    Arg(Vec<Argument>),
    Cmd(CommandLine),
    Copy(Transfer),
    Entrypoint(CommandLine),
    Env(Vec<Pair>),
    Expose(Vec<String>),
    Healthcheck(Healthcheck),
    Label(Vec<Pair>),
    Maintainer(String),
    /// The statement to run in builds on top of this image, as text.
    Onbuild(String),
    Run(Run),
    Shell(Vec<String>),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
}

/// `name=value`, or the old `name value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value, not yet expanded.
    pub value: String,
    /// The old form, without `=`.
    pub without_equals_sign: bool,
}

/// A build argument with its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// The default, if there is one.
    pub default: Option<String>,
    /// What a comment above says about it.
    pub comment: String,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// `["program", "argument"]`.
    Exec(Vec<String>),
    /// Text for the shell; `None` when there is nothing.
    Shell(Option<String>),
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command.
    pub command: CommandLine,
    /// Here-documents that belong to it.
    pub heredocs: Vec<Heredoc>,
    /// The names of the flags given.
    pub flags: Vec<String>,
    /// `--mount`.
    pub mounts: Vec<String>,
    /// `--network`.
    pub network: String,
}

/// `COPY` and `ADD`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// What to copy, not yet expanded.
    pub sources: Vec<String>,
    /// Files whose content stands in the Dockerfile.
    pub contents: Vec<Heredoc>,
    /// Where to.
    pub destination: String,
    /// `--from` (COPY): a stage or an image; empty: the context.
    pub from: String,
    /// `--chown`.
    pub chown: String,
    /// `--chmod`.
    pub chmod: String,
    /// `--link`.
    pub link: bool,
    /// `--checksum` (ADD).
    pub checksum: String,
    /// `--keep-git-dir` (ADD).
    pub keep_git_dir: Option<bool>,
    /// `--unpack` (ADD).
    pub unpack: Option<bool>,
}

/// `HEALTHCHECK`; times of zero mean the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`.
    pub test: Vec<String>,
    /// `--interval`.
    pub interval: Duration,
    /// `--timeout`.
    pub timeout: Duration,
    /// `--start-period`.
    pub start_period: Duration,
    /// `--start-interval`.
    pub start_interval: Duration,
    /// `--retries`.
    pub retries: u32,
}
