//! What is remembered of a container between commands, and what state it is in.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_agent_sys::process::open_pidfd;
use oci_spec::runtime::Hooks;
use serde::{Deserialize, Serialize};

use super::error::OciError;
use crate::cgroup::{Cgroup, Layout};
use crate::failure::Failure;
use crate::init::gate;

const FILE: &str = "state.json";

/// The directory in which containers are remembered.
#[derive(Debug)]
pub(super) struct Store(PathBuf);

/// A container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) oci_version: String,
    pub(super) id: String,
    /// Its first process; 0 before there is one.
    pub(super) pid: i32,
    /// When the kernel made that process, in clock ticks since the boot: tells it from others with its number.
    pub(super) start_time: u64,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) created: String,
    pub(super) cgroup: PathBuf,
    pub(super) annotations: HashMap<String, String>,
    /// As they were when it was created.
    pub(super) hooks: Option<Hooks>,
}

/// The state of a container, as the specification has it, and what other runtimes add.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State<'a> {
    pub(super) oci_version: &'a str,
    pub(super) id: &'a str,
    pub(super) pid: i32,
    pub(super) status: &'static str,
    pub(super) bundle: &'a Path,
    pub(super) rootfs: &'a Path,
    pub(super) created: &'a str,
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub(super) annotations: &'a HashMap<String, String>,
}

impl Store {
    pub(super) fn new(root: PathBuf) -> Self {
        Self(root)
    }

    /// Returns the directory of a container, after a look at its name.
    pub(super) fn directory(&self, id: &str) -> Result<PathBuf, OciError> {
        let is_usual = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
        if id.is_empty() || matches!(id, "." | "..") || !id.chars().all(is_usual) {
            return Err(OciError::Usage(format!("invalid ID format: {id}")));
        }
        Ok(self.0.join(id))
    }

    /// Makes the directory of a new container.
    pub(super) fn claim(&self, id: &str) -> Result<PathBuf, OciError> {
        let directory = self.directory(id)?;
        let failed = |e| OciError::io("making", directory.display(), e);
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        builder.recursive(true).create(&self.0).map_err(failed)?;
        match builder.recursive(false).create(&directory) {
            Ok(()) => Ok(directory),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(OciError::Exists),
            Err(e) => Err(failed(e)),
        }
    }

    pub(super) fn write(&self, record: &Record) -> Result<(), OciError> {
        let directory = self.directory(&record.id)?;
        let (path, new) = (directory.join(FILE), directory.join("state.json.new"));
        let failed = |e| OciError::io("writing", path.display(), e);
        let bytes = serde_json::to_vec(record).map_err(|e| failed(e.into()))?;
        fs::write(&new, bytes).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)
    }

    pub(super) fn read(&self, id: &str) -> Result<Record, OciError> {
        let path = self.directory(id)?.join(FILE);
        let failed = |e| OciError::io("reading", path.display(), e);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed(e.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(OciError::NoSuchContainer),
            Err(e) => Err(failed(e)),
        }
    }

    /// Keeps other commands away from a container that this one changes, for as long as the result is open.
    pub(super) fn lock(&self, id: &str) -> Result<File, OciError> {
        let directory = self.directory(id)?;
        match File::open(&directory) {
            Ok(file) => match file.lock() {
                Ok(()) => Ok(file),
                Err(e) => Err(OciError::io("locking", directory.display(), e)),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(OciError::NoSuchContainer),
            Err(e) => Err(OciError::io("opening", directory.display(), e)),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Record>, OciError> {
        let entries = match fs::read_dir(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|e| OciError::io("reading", self.0.display(), e))?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        // One that goes away meanwhile is none any more.
        let mut records: Vec<Record> = names.filter_map(|id| self.read(&id).ok()).collect();
        records.sort_by(|a, b| a.created.cmp(&b.created));
        Ok(records)
    }
}

impl Record {
    /// Returns the first process, unless it has ended.
    pub(super) fn process(&self) -> Option<OwnedFd> {
        // Opened before it is looked at: what is found out is then about what is open.
        let process = open_pidfd(self.pid).ok()?;
        (self.pid > 0 && start_time(self.pid) == Some(self.start_time)).then_some(process)
    }

    pub(super) fn status(&self, store: &Store) -> &'static str {
        if self.process().is_none() {
            return "stopped";
        }
        if store.directory(&self.id).is_ok_and(|d| gate::is_closed(&d)) {
            return "created";
        }
        match self.cgroup() {
            Ok(cgroup) if cgroup.is_frozen() => "paused",
            _ => "running",
        }
    }

    pub(super) fn state<'a>(&'a self, store: &Store) -> State<'a> {
        self.state_as(self.status(store))
    }

    pub(super) fn state_as(&self, status: &'static str) -> State<'_> {
        State {
            oci_version: &self.oci_version,
            id: &self.id,
            pid: if status == "stopped" { 0 } else { self.pid },
            status,
            bundle: &self.bundle,
            rootfs: &self.rootfs,
            created: &self.created,
            annotations: &self.annotations,
        }
    }

    pub(super) fn cgroup(&self) -> Result<Cgroup, OciError> {
        let layout =
            Layout::detect().map_err(|e| OciError::io("reading", "/proc/self/mountinfo", e))?;
        Ok(Cgroup::new(layout, &self.cgroup).map_err(Failure::from)?)
    }
}

/// Returns when the kernel made a process; nothing when it has ended.
pub(super) fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have any character, parentheses too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next(), None | Some("Z" | "X")) {
        return None;
    }
    // The state was the third field, this is the twenty-second.
    fields.nth(18)?.parse().ok()
}
