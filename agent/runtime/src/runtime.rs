//! The agent's handle on all containers: starts supervisors and finds them again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{ReattachError, RuntimeError, StartError};
use crate::exit::ExitRecord;
use crate::request::StartRequest;
use crate::running::Running;

/// How supervisors are started.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Executable that runs [`crate::supervise_main`]; usually `/proc/self/exe`.
    pub executable: PathBuf,
    /// Arguments that make it do so; usually `["supervise"]`.
    pub arguments: Vec<OsString>,
}

/// Starts containers and finds those of a former agent again.
#[derive(Debug)]
pub struct Runtime {
    config: RuntimeConfig,
}

/// What became of a container while no agent watched it.
#[derive(Debug)]
pub enum Reattached {
    /// It still runs.
    Running(Running),
    /// It ended, and its supervisor wrote down how.
    Exited(ExitRecord),
    /// Neither it nor a record of its end is left (the machine crashed, or the supervisor was killed).
    Lost,
}

impl Runtime {
    /// Opens the executable for supervisors, in a way that a container cannot write to it.
    ///
    /// # Errors
    /// Fails when the executable cannot be opened.
    pub fn new(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        Ok(Self { config })
    }

    /// Starts a container; its command has been executed when this returns.
    ///
    /// # Errors
    /// Fails with the name of the step that failed. Nothing of the container is left then, except a log without records.
    ///
    /// # Cancel safety
    /// When the future is dropped the start may still succeed; [`Self::reattach`] tells.
    pub async fn start(&self, request: StartRequest) -> Result<Running, StartError> {
        let _ = (request, &self.config);
        tokio::task::yield_now().await;
        todo!()
    }

    /// Finds out what became of a container that a former agent started.
    ///
    /// Leftovers of a lost container (processes, cgroups, its run directory) are removed.
    ///
    /// # Errors
    /// Fails when its supervisor or its record cannot be read, which says nothing about the container.
    pub async fn reattach(&self, id: &str, bundle_dir: &Path, run_dir: &Path) -> Result<Reattached, ReattachError> {
        let _ = (id, bundle_dir, run_dir);
        tokio::task::yield_now().await;
        todo!()
    }
}
