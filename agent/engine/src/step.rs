//! Runs one command of an image build: a container without a name or a record, above given layers.
//! What it writes stays in a snapshot until the [`FinishedStep`] is dropped.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_network::Attachment;
use berth_agent_runtime::log::{LogPolicy, Stream};
use berth_agent_runtime::{AttachFrom, AttachOptions, Running, StartRequest};
use berth_agent_snapshots::{LayerId, Prepared, SnapshotError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Engine;
use crate::class::{Classified, ErrorClass, command_exit_code};
use crate::container::status::Exit;
use crate::create::network_request::{self, PortError};
use crate::create::rootfs::{UserLookupError, UserQuery};
use crate::id::random_hex;
use crate::life::signal::SignalNumber;
use crate::options::HostOptions;
use crate::spec::{
    self, Neighbours, NetworkNamespace, ProcessInput, SecurityError, SecurityOptions, SharedMemory,
    SpecError, SpecInput,
};
use crate::start::network_files::{self, FilesInput};

/// How the keys of steps begin, by which leftovers are known.
pub(crate) const STEP_PREFIX: &str = "build-";

/// Exit code of a step whose end nobody saw.
const UNKNOWN_EXIT: i32 = 255;

/// One command to run above layers.
#[derive(Clone, Debug, Default)]
pub struct StepRequest {
    /// Layers below the step's changes, bottom first.
    pub parent_layers: Vec<LayerId>,
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// `NAME=value`; `PATH`, `HOME` and `HOSTNAME` get defaults.
    pub env: Vec<String>,
    /// Working directory, made when missing; empty: `/`.
    pub working_dir: String,
    /// `user[:group]`, looked up in the layers; empty: root.
    pub user: String,
    /// `""`, `default`, `bridge`, `host` or `none`.
    pub network_mode: String,
}

/// A piece of what the command writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOutput {
    /// Which of its streams.
    pub stream: Stream,
    /// The bytes.
    pub data: Vec<u8>,
}

/// A command that ended. Dropping it removes what it wrote.
#[derive(Debug)]
pub struct FinishedStep {
    /// How it ended.
    pub exit: Exit,
    /// Its filesystem; `upper` holds what it changed, for a commit.
    pub prepared: Prepared,
    _guard: StepGuard,
}

/// A step does not run.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Its filesystem cannot be made.
    #[error("preparing the step's filesystem")]
    Snapshot(#[source] SnapshotError),
    /// Its folder or files cannot be made.
    #[error("preparing the step's folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The kind of network is wrong.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Its network cannot be made.
    #[error("failed to set up container networking")]
    Network(#[source] berth_agent_network::AttachError),
    /// Its user cannot be found out.
    #[error(transparent)]
    User(#[from] UserLookupError),
    /// The default security options cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The specification cannot be built.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The runtime failed.
    #[error("failed to start the step")]
    Run(#[source] berth_agent_runtime::StartError),
    /// Its output cannot be had.
    #[error("attaching to the step")]
    Attach(#[source] berth_agent_runtime::AttachError),
}

/// Takes everything of a step back when it is dropped, whatever became of it.
#[derive(Debug)]
struct StepGuard(Option<Leftovers>);

/// What there is of a step. It has no `drop` of its own, so that it can be handed to a task.
#[derive(Debug)]
struct Leftovers {
    engine: Arc<Engine>,
    key: String,
    /// A start whose end nobody has seen yet.
    start: Option<JoinHandle<StartResult>>,
    running: Option<Running>,
    has_network: bool,
}

type StartResult = Result<Running, berth_agent_runtime::StartError>;

impl Engine {
    /// Runs a command above `parent_layers` and waits for its end. Its output goes to `output` while
    /// it is written; a slow receiver slows nothing but itself.
    ///
    /// # Errors
    /// When the command cannot be started. A command that fails is no error; see
    /// [`FinishedStep::exit`].
    ///
    /// # Cancel safety
    /// When the future is dropped the command is killed and nothing is left of it.
    pub async fn run_step(
        self: &Arc<Self>,
        request: StepRequest,
        output: mpsc::Sender<StepOutput>,
    ) -> Result<FinishedStep, StepError> {
        let key = format!("{STEP_PREFIX}{}", random_hex(16));
        let mut guard = StepGuard(Some(Leftovers {
            engine: Arc::clone(self),
            key: key.clone(),
            start: None,
            running: None,
            has_network: false,
        }));
        let folder = self.paths.steps().join(&key);
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|source| StepError::Folder {
                path: folder.clone(),
                source,
            })?;
        let prepared = self
            .snapshots
            .prepare(&key, &request.parent_layers)
            .map_err(StepError::Snapshot)?;
        let host = HostOptions {
            network_mode: request.network_mode.clone(),
            ..HostOptions::default()
        };
        let attach = network_request::of_host(&host, &[])?;
        guard.has_network();
        let network = self
            .network
            .attach(&key, attach)
            .await
            .map_err(StepError::Network)?;
        let start = self.step_start(&key, folder, &request, &host, &prepared, &network)?;
        let engine = Arc::clone(self);
        let start = tokio::spawn(async move { engine.runtime.start(start).await });
        let running = guard.started(start).await.map_err(StepError::Run)?;
        let exit = relay(&running, &output).await?;
        guard.ended();
        guard.end_network().await;
        Ok(FinishedStep {
            exit,
            prepared,
            _guard: guard,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is made by a step of the caller"
    )]
    fn step_start(
        &self,
        key: &str,
        folder: PathBuf,
        request: &StepRequest,
        host: &HostOptions,
        prepared: &Prepared,
        network: &Attachment,
    ) -> Result<StartRequest, StepError> {
        // As Docker's: a host name that looks like a short container id.
        let hostname = key[STEP_PREFIX.len()..][..12].to_owned();
        let files_input = FilesInput {
            hostname: &hostname,
            domainname: "",
            host,
            network,
            linked: &[],
            gateway: None,
        };
        let files =
            network_files::write(&folder, &files_input).map_err(|source| StepError::Folder {
                path: folder.clone(),
                source,
            })?;
        let security = SecurityOptions::new(host)?;
        let user = self.users.in_layers(
            self.snapshots.as_ref(),
            &request.parent_layers,
            &UserQuery {
                user: request.user.clone(),
                groups: Vec::new(),
            },
        )?;
        let input = SpecInput {
            id: key,
            process: ProcessInput {
                argv: request.argv.clone(),
                env: &request.env,
                linked_env: &[],
                working_dir: &request.working_dir,
                user,
                hostname: &hostname,
                tty: false,
            },
            hostname: hostname.clone(),
            domainname: "",
            host,
            security: &security,
            devices: &[],
            network: network
                .netns
                .clone()
                .map_or(NetworkNamespace::Host, NetworkNamespace::Path),
            files: Some(files),
            mounts: &[],
            tmpfs: &[],
            unified_cgroups: self.unified_cgroups,
            has_cgroup_namespaces: self.kernel.cgroup_namespaces,
            neighbours: Neighbours::default(),
            shared_memory: SharedMemory::Own,
        };
        Ok(StartRequest {
            id: key.to_owned(),
            bundle_dir: folder,
            run_dir: self.paths.container_run(key),
            spec: spec::build(&input)?,
            rootfs: self.rootfs(prepared.clone()),
            terminal_size: None,
            open_stdin: false,
            stdin_once: false,
            seccomp: security.seccomp,
            external_runtime: None,
            ephemeral: true,
            log: LogPolicy::nothing(),
            init: false,
            neighbours: Vec::new(),
        })
    }
}

/// Passes on the output until the end.
async fn relay(running: &Running, output: &mpsc::Sender<StepOutput>) -> Result<Exit, StepError> {
    let options = AttachOptions {
        from: AttachFrom::Start,
        stdin: false,
    };
    let mut attachment = running.attach(options).await.map_err(StepError::Attach)?;
    loop {
        match attachment.output.next().await {
            Ok(Some(record)) => {
                let piece = StepOutput {
                    stream: record.stream,
                    data: record.data,
                };
                // Without a receiver the command still runs to its end.
                drop(output.send(piece).await);
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(error = %error, "output of a build step cut off");
                break;
            }
        }
    }
    Ok(match running.wait().await {
        Some(exit) => Exit {
            code: exit.code,
            oom_killed: exit.oom_killed,
        },
        None => Exit {
            code: UNKNOWN_EXIT,
            oom_killed: false,
        },
    })
}

impl StepGuard {
    fn has_network(&mut self) {
        if let Some(leftovers) = &mut self.0 {
            leftovers.has_network = true;
        }
    }

    /// Waits for a start. When the wait is given up the start is still known, so that what it makes is ended before
    /// its files go.
    async fn started(&mut self, start: JoinHandle<StartResult>) -> StartResult {
        let Some(leftovers) = &mut self.0 else {
            return crate::task::outcome(start).await;
        };
        let result = crate::task::outcome(leftovers.start.insert(start)).await;
        leftovers.start = None;
        leftovers.running = result.as_ref().ok().cloned();
        result
    }

    fn ended(&mut self) {
        if let Some(leftovers) = &mut self.0 {
            leftovers.running = None;
        }
    }

    async fn end_network(&mut self) {
        if let Some(leftovers) = &mut self.0 {
            leftovers.end_network().await;
        }
    }
}

impl Leftovers {
    async fn end_network(&mut self) {
        if !self.has_network {
            return;
        }
        self.has_network = false;
        if let Err(error) = self.engine.network.detach(&self.key).await {
            tracing::warn!(step = self.key, error = %error, "network not detached");
        }
    }

    fn remove_files(&self) {
        if let Err(error) = self.engine.snapshots.remove(&self.key) {
            tracing::warn!(step = self.key, error = %error, "filesystem not removed");
        }
        for path in [
            self.engine.paths.container_run(&self.key),
            self.engine.paths.steps().join(&self.key),
        ] {
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), error = %error, "folder not removed");
                }
                _ => {}
            }
        }
    }

    async fn take_back(mut self) {
        if let Some(start) = self.start.take() {
            self.running = crate::task::outcome(start).await.ok();
        }
        if let Some(running) = self.running.take()
            && running.signal(SignalNumber::KILL.number()).await.is_ok()
        {
            running.wait().await;
        }
        self.end_network().await;
        crate::task::outcome(tokio::task::spawn_blocking(move || self.remove_files())).await;
    }
}

impl Drop for StepGuard {
    fn drop(&mut self) {
        let Some(leftovers) = self.0.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(leftovers.take_back())),
            Err(_) => leftovers.remove_files(),
        }
    }
}

impl StepError {
    /// Returns the exit code that Docker gives to a command that failed so.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Run(error) => command_exit_code(error.kind()),
            _ => None,
        }
    }
}

impl Classified for StepError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Snapshot(SnapshotError::DiskFull { .. }) => ErrorClass::Exhausted,
            Self::Folder { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorClass::Exhausted
            }
            Self::Port(_) | Self::User(UserLookupError::Unknown(_)) => ErrorClass::InvalidArgument,
            Self::Run(_) if self.exit_code().is_some() => ErrorClass::InvalidArgument,
            _ => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self.class() {
            ErrorClass::Exhausted => "disk-full",
            _ => "build-failed",
        }
    }
}
