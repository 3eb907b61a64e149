//! The seam to whatever runs the commands of a build.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use berth_agent_engine::{Classified, Engine, ErrorClass, StepOutput, StepRequest};
use tokio::sync::mpsc;

/// Runs commands above layers.
///
/// Several commands may run at once. Dropping the future of a command ends the command and removes
/// what it wrote.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Runs a command to its end. What it writes to its streams goes to `output` meanwhile.
    ///
    /// # Errors
    ///
    /// It cannot be started. A command that ends badly is no error.
    async fn run(
        &self,
        request: StepRequest,
        output: mpsc::Sender<StepOutput>,
    ) -> Result<Ran, RunnerError>;
}

/// A command that has ended.
pub struct Ran {
    /// Its exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// The kernel ended it for want of memory.
    pub oom_killed: bool,
    /// The files that it changed, in overlayfs's form.
    pub upper: PathBuf,
    /// Keeps the files until it is dropped.
    pub keep: Box<dyn Any + Send>,
}

/// A command that cannot be started.
#[derive(Debug)]
pub struct RunnerError(Box<dyn Classified + Send + Sync>);

// === impl Ran ===

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ran")
            .field("code", &self.code)
            .field("upper", &self.upper)
            .finish()
    }
}

// === impl RunnerError ===

impl RunnerError {
    /// Wraps the error of a runner.
    pub fn new(error: impl Classified + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }

    pub(crate) fn class(&self) -> ErrorClass {
        self.0.class()
    }
}

impl fmt::Display for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for RunnerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[async_trait]
impl Runner for Arc<Engine> {
    async fn run(
        &self,
        request: StepRequest,
        output: mpsc::Sender<StepOutput>,
    ) -> Result<Ran, RunnerError> {
        let finished = self
            .run_step(request, output)
            .await
            .map_err(RunnerError::new)?;
        Ok(Ran {
            code: finished.exit.code,
            oom_killed: finished.exit.oom_killed,
            upper: finished.prepared.upper.clone(),
            keep: Box::new(finished),
        })
    }
}
