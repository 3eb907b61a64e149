//! Builds images from Dockerfiles.
//!
//! A [`Builder`] takes [`BuildOptions`] and a context as a tar stream, tells what happens by
//! [`BuildEvent`]s, and ends with an image or a [`BuildError`] that names the statement at fault.
//! [`Dockerfile`] and [`Expander`] understand the language and touch nothing; so do the modules that
//! work out stages, variables and settings. Commands run behind [`Runner`], which the engine
//! implements.
//!
//! Every step is an image. What it was done upon, what it says and what it reads give it a name; a
//! step with a name that has an image already is not done again. The names are kept in the agent's
//! database, so that they outlive it.
//!
//! Not here: mounts and secrets of `RUN`, remote sources of `ADD`; they are refused by name.

mod build_error;
mod builder;
mod cache_key;
mod changes;
mod context;
mod copy;
mod dockerfile;
mod event;
mod expand;
mod options;
mod quote;
mod runner;
mod scope;
mod session;
mod settings;
mod stages;
#[cfg(test)]
mod vectors;

pub use self::build_error::{BuildError, BuildErrorKind};
pub use self::builder::{Builder, BuilderParts};
pub use self::changes::{ChangeError, apply_changes};
pub use self::context::ContextError;
pub use self::copy::CopyError;
pub use self::dockerfile::{
    Argument, CommandLine, Dockerfile, Healthcheck, Heredoc, Instruction, Pair, Run, Source, Stage,
    Statement, SyntaxError, SyntaxProblem, Transfer,
};
pub use self::event::{BuildEvent, Gone, StepEvent, StepStatus};
pub use self::expand::{ExpandError, ExpandProblem, Expanded, Expander, Variables};
pub use self::options::BuildOptions;
pub use self::runner::{Ran, Runner, RunnerError};
pub use self::settings::SettingError;
pub use self::stages::OriginError;
