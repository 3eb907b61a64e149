//! The whole of it, in order, and how it fails.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_controller_ssh::{ExecError, ExitStatus, Output, Session};
use tokio::io::AsyncRead;
use tokio::time::timeout;

use crate::agent::{AgentBinary, BinaryError};
use crate::config::{AgentConfig, TlsFiles};
use crate::facts::{HostFacts, Init, Privilege};
use crate::install::install;
use crate::probe::probe;
use crate::upload::upload;

/// How long the host may take for looking at itself and for installing; the latter includes
/// systemd's own 60 s for a start.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(90);
/// How long an upload may take: 10 MB at the speed of an old telephone line.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(1800);
/// Certificates begin five minutes before they are made; a clock further behind refuses them.
const CLOCK_TOLERANCE: u64 = 300;
/// How much of what a host printed goes into an error.
const MAX_SAID: usize = 4000;

/// What shall be on the host.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The executable.
    pub agent: &'a AgentBinary,
    /// Where its compressed copy is kept on this side.
    pub cache: &'a Path,
    /// Its configuration.
    pub config: &'a AgentConfig,
    /// Its certificates.
    pub tls: &'a TlsFiles,
    /// Whether to restart it even when nothing has changed.
    pub restart: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the host is.
    pub facts: HostFacts,
    /// Whether the executable was sent.
    pub uploaded: bool,
    /// Whether the agent was started or restarted.
    pub restarted: bool,
    /// What the operator should know about the host.
    pub warnings: Vec<String>,
}

/// A step on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Looking at the host.
    Probe,
    /// Sending the executable.
    Upload,
    /// Writing configuration, keys and certificates.
    Install,
    /// Registering the service.
    Service,
    /// Starting the agent and waiting for its word.
    Start,
}

/// Where progress goes.
pub trait Progress: Send + Sync {
    /// The host is known.
    fn found(&self, _facts: &HostFacts) {}

    /// A step begins.
    fn step(&self, step: Step);

    /// `done` of `total` bytes of the upload have been sent.
    fn bytes(&self, _done: u64, _total: u64) {}
}

/// The agent could not be put on the host; running it again goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The host runs something else.
    #[error("the host runs {system}, and the agent needs Linux")]
    NotLinux {
        /// What `uname -s` said.
        system: String,
    },
    /// The user cannot become root.
    #[error(
        "user {user:?} is not root and cannot become root on the host{}",
        because(said)
    )]
    NoPrivilege {
        /// The user.
        user: String,
        /// What `sudo` said; empty when there is none.
        said: String,
    },
    /// The executable is for another kind of processor.
    #[error("the host is {host}, and this berth's agent is for {agent}")]
    Architecture {
        /// The host's.
        host: String,
        /// The executable's.
        agent: String,
    },
    /// The executable cannot be used.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// A command failed on the host.
    #[error("{step} failed on the host ({status}){}", because(said))]
    Failed {
        /// The step.
        step: Step,
        /// How the command ended.
        status: String,
        /// What the host printed.
        said: String,
    },
    /// A command took too long.
    #[error("{step} did not end on the host within {} s", limit.as_secs())]
    Timeout {
        /// The step.
        step: Step,
        /// How long it had.
        limit: Duration,
    },
    /// A command could not be run.
    #[error("{step} could not be run on the host")]
    Ssh {
        /// The step.
        step: Step,
        /// Why.
        #[source]
        source: ExecError,
    },
    /// A task of this program ended early.
    #[error("compressing the agent was cut off")]
    Task(#[source] tokio::task::JoinError),
}

/// Puts the agent on the host behind `session` and returns when it is ready.
///
/// # Errors
///
/// When a step fails; running it again goes on from there.
pub async fn provision(
    session: &Session,
    plan: &Plan<'_>,
    progress: &dyn Progress,
) -> Result<Report, ProvisionError> {
    progress.step(Step::Probe);
    let facts = probe(session).await?;
    progress.found(&facts);
    check(&facts)?;
    let uploaded = upload(session, plan, &facts, progress).await?;
    progress.step(Step::Install);
    let changed = uploaded || plan.restart;
    let restarted = install(session, plan, &facts, changed).await?;
    let warnings = warnings(&facts, uploaded);
    Ok(Report {
        facts,
        uploaded,
        restarted,
        warnings,
    })
}

fn check(facts: &HostFacts) -> Result<(), ProvisionError> {
    if facts.system != "Linux" {
        return Err(ProvisionError::NotLinux {
            system: facts.system.clone(),
        });
    }
    let said = match &facts.privilege {
        Privilege::Root | Privilege::Sudo => return Ok(()),
        Privilege::SudoPassword { said } => said.clone(),
        Privilege::None => String::new(),
    };
    Err(ProvisionError::NoPrivilege {
        user: facts.user.clone(),
        said,
    })
}

fn warnings(facts: &HostFacts, is_new: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if facts.clock != 0 && facts.clock + CLOCK_TOLERANCE < now {
        let behind = now - facts.clock;
        warnings.push(format!(
            "the host's clock is {behind} s behind, and it may refuse new certificates"
        ));
    }
    if is_new && facts.init == Init::Own {
        warnings.push(
            "the host has neither systemd nor OpenRC: the agent supervises itself, and berth \
             machine start starts it after a reboot"
                .to_owned(),
        );
    }
    warnings
}

/// Runs `command` within its time.
pub(crate) async fn exec(
    session: &Session,
    step: Step,
    command: &str,
    stdin: impl AsyncRead + Send + Unpin,
) -> Result<Output, ProvisionError> {
    let limit = if step == Step::Upload {
        UPLOAD_TIMEOUT
    } else {
        SCRIPT_TIMEOUT
    };
    match timeout(limit, session.exec_reading(command, stdin)).await {
        Ok(result) => result.map_err(|source| ProvisionError::Ssh { step, source }),
        Err(_elapsed) => Err(ProvisionError::Timeout { step, limit }),
    }
}

/// Runs a script that comes on standard input.
pub(crate) async fn run_script(
    session: &Session,
    step: Step,
    shell: &str,
    script: &[u8],
) -> Result<Output, ProvisionError> {
    exec(session, step, shell, script).await
}

/// Makes one word of `text` for any shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn because(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

impl ProvisionError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoPrivilege { user, said } if said.is_empty() => format!(
                "log in as root, or install sudo on the host and allow it to {user} without a \
                 password"
            ),
            Self::NoPrivilege { user, .. } => format!(
                "as root on the host: echo '{user} ALL=(ALL) NOPASSWD: ALL' \
                 > /etc/sudoers.d/berth; or log in as root"
            ),
            Self::Architecture { host, .. } => {
                format!("build berthd for {host} and name it in $BERTH_AGENT")
            }
            Self::Failed { said, .. } if said.contains("No space left") => {
                "make room on the host (the agent needs about 40 MB in /usr/local and /var), \
                 then run it again"
                    .to_owned()
            }
            Self::Failed { said, .. } if said.contains("Read-only file system") => {
                "/usr/local/bin, /etc and /var/lib must be writable on the host".to_owned()
            }
            Self::Failed { said, .. } if said.contains("in use") => {
                "another program on the host listens on the engine's port; stop it or choose \
                 another port"
                    .to_owned()
            }
            Self::Failed { .. } | Self::Timeout { .. } | Self::Ssh { .. } => {
                "berth machine provision goes on from here once the cause is gone".to_owned()
            }
            _ => return None,
        };
        Some(text)
    }

    pub(crate) fn from_output(step: Step, output: &Output) -> Self {
        let said = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let said = String::from_utf8_lossy(said);
        let said = said.trim();
        // The end is what matters: the last lines say why it stopped.
        let start = said
            .char_indices()
            .rev()
            .nth(MAX_SAID)
            .map_or(0, |(index, _)| index);
        let status = match &output.status {
            ExitStatus::Code(code) => format!("exit status {code}"),
            ExitStatus::Signal(name) => format!("signal {name}"),
        };
        Self::Failed {
            step,
            status,
            said: said[start..].to_owned(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Probe => "looking at the host",
            Self::Upload => "uploading the agent",
            Self::Install => "writing the agent's files",
            Self::Service => "registering the agent's service",
            Self::Start => "starting the agent",
        })
    }
}
