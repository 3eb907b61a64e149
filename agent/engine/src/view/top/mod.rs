//! The processes of a container, as `ps` on the machine would list them.
//!
//! The usual formats are made here from `/proc`, so that a machine needs no `ps`; for others its own is asked.

mod columns;
mod process;
mod program;

use std::collections::HashMap;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Unreachable;
use crate::container::containers::LookupError;
use crate::container::status::Phase;

use self::columns::{Column, Format};
use self::process::{Machine, Process};
use self::program::PsError;

/// Processes in a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessTable {
    /// The headings.
    pub titles: Vec<String>,
    /// A row for each process.
    pub processes: Vec<Vec<String>>,
}

/// The processes of a container are not listed.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It does not run.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// It is about to be started again.
    #[error("Container {0} is restarting, wait until the container is running")]
    Restarting(String),
    /// Its supervisor does not answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// A column is given a name that hides which one has the process ids.
    #[error("specifying \"{0}\" is not allowed")]
    Renamed(String),
    /// `ps` cannot be used.
    #[error(transparent)]
    Ps(#[from] PsError),
}

impl Engine {
    /// Lists the processes of a container; `arguments` are those of `ps`, none: `-ef`. Blocks.
    ///
    /// # Errors
    /// When there is no such container, it does not run, or `ps` does not take the arguments.
    pub fn top(&self, name: &str, arguments: &[String]) -> Result<ProcessTable, TopError> {
        let container = self.containers.find(name)?;
        let id = || container.id().as_str().to_owned();
        if container.phase() == Phase::Restarting {
            return Err(TopError::Restarting(id()));
        }
        let Some(running) = container.running_or_unreachable()? else {
            return Err(TopError::NotRunning(id()));
        };
        if let Some(renamed) = columns::renames_pid(arguments) {
            return Err(TopError::Renamed(renamed));
        }
        let pids = running
            .process_ids()
            .map_err(|_gone| TopError::NotRunning(id()))?;
        match Format::of(arguments) {
            Some(format) => Ok(table(&format, &pids)),
            None => Ok(program::ps(arguments, &pids)?),
        }
    }
}

fn table(format: &Format, pids: &[i32]) -> ProcessTable {
    let machine = Machine::look();
    let mut users = HashMap::new();
    // One that has just ended is not there any more.
    let processes = pids.iter().filter_map(|pid| Process::read(*pid));
    let row = |process: Process| {
        let columns = format.columns.iter();
        columns
            .map(|column| column.value(&process, &machine, &mut users))
            .collect()
    };
    let titles = format.columns.iter().map(Column::title);
    ProcessTable {
        titles: titles.map(str::to_owned).collect(),
        processes: processes.map(row).collect(),
    }
}

impl Classified for TopError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::NotRunning(_) | Self::Restarting(_) => ErrorClass::Conflict,
            Self::Unreachable(_) => ErrorClass::Unavailable,
            Self::Renamed(_) => ErrorClass::InvalidArgument,
            Self::Ps(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::NotRunning(_) | Self::Restarting(_) => "not-running",
            Self::Unreachable(_) => "unreachable",
            Self::Renamed(_) => "invalid-argument",
            Self::Ps(_) => "ps-failed",
        }
    }
}
