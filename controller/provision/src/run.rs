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
use crate::place::{Shortage, Size};
use crate::probe::enter;
use crate::root::{Passwords, Root};
use crate::upload::upload;

/// How long an agent may take until it says that it is ready.
pub const PATIENCE: Duration = Duration::from_secs(45);
/// How long the host may take for a script; starting an agent and going back are among them.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(150);
/// How long an upload may take: 10 MB at the speed of an old telephone line.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(1800);
/// Certificates begin five minutes before they are made.
const CLOCK_TOLERANCE: u64 = 300;
/// A host with less room than this for images is one that the operator should know of.
const LITTLE_DATA: u64 = 512 * 1024 * 1024;
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
    /// How long it may take until it says that it is ready.
    pub patience: Duration,
    /// Passwords for `sudo`.
    pub passwords: Passwords<'a>,
}

/// Something of the agent's that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The executable.
    Binary,
    /// Its configuration or environment.
    Configuration,
    /// Its service.
    Unit,
    /// Its certificates.
    Certificates,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the host is.
    pub facts: HostFacts,
    /// What was replaced; empty when all was as it should be.
    pub changes: Vec<Change>,
    /// The folder that the executable is in.
    pub folder: String,
    /// Whether what was there before is kept until [`crate::keep`] or [`crate::go_back`].
    pub trying: bool,
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
    /// Keeping the new agent, or taking it back.
    Settle,
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
    /// `sudo` takes none of the passwords.
    #[error("sudo on the host does not take the password of user {user:?}")]
    WrongPassword {
        /// The user.
        user: String,
    },
    /// The host has no room or no folder for the agent.
    #[error(transparent)]
    Shortage(#[from] Shortage),
    /// The new agent is no good, and the former one was taken back.
    #[error(
        "the new agent is no good; {}{}",
        if *runs { "the former one runs again" } else { "the former one was put back, but does not start" },
        because(said)
    )]
    WentBack {
        /// Whether the former one runs.
        runs: bool,
        /// What the new agent said last.
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
    let facts = enter(session, plan.passwords).await?;
    progress.found(&facts);
    let size = plan.agent.size();
    let folder = facts.folder_for(plan.agent.sha256(), size)?.to_owned();
    let root = Root::new(session, &facts, plan.passwords);
    let uploaded = upload(&root, plan, &facts, &folder, progress).await?;
    progress.step(Step::Install);
    let done = install(&root, plan, &facts, (&folder, uploaded)).await?;
    let mut warnings = warnings(&facts, uploaded);
    warnings.extend(unusual_folder(&facts, &folder, uploaded));
    Ok(Report {
        facts,
        changes: done.changes,
        folder,
        trying: done.trying,
        restarted: done.restarted,
        warnings,
    })
}

pub(crate) fn check(facts: &HostFacts) -> Result<(), ProvisionError> {
    if facts.system != "Linux" {
        return Err(ProvisionError::NotLinux {
            system: facts.system.clone(),
        });
    }
    let said = match &facts.privilege {
        Privilege::Root | Privilege::Sudo | Privilege::SudoWithPassword | Privilege::Doas => {
            return Ok(());
        }
        Privilege::SudoPassword { said } | Privilege::SudoTerminal { said } => said.clone(),
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
    match facts.clock_ahead(now) {
        Some(ahead) if ahead.unsigned_abs() > CLOCK_TOLERANCE => warnings.push(format!(
            "the host's clock is {} s {} this computer's; set it on the host (timedatectl set-ntp \
             true, or date -u -s @{now})",
            ahead.unsigned_abs(),
            if ahead < 0 { "behind" } else { "ahead of" },
        )),
        _ => {}
    }
    if let Some(free) = facts
        .place(crate::place::DATA_ROOT)
        .and_then(|data| data.free)
        && is_new
        && free < LITTLE_DATA
    {
        warnings.push(format!(
            "the host has only {} free in {} for images and containers",
            Size(free),
            crate::place::DATA_ROOT
        ));
    }
    if is_new && facts.cgroups.is_empty() {
        warnings.push(
            "the host has no control groups mounted at /sys/fs/cgroup: containers cannot be limited"
                .to_owned(),
        );
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

fn unusual_folder(facts: &HostFacts, folder: &str, is_new: bool) -> Option<String> {
    let usual = facts.places.first().filter(|_first| is_new)?;
    (usual.folder != folder).then(|| {
        format!(
            "{} on the host {}, so the agent is in {folder}",
            usual.folder,
            if usual.writable {
                "is mounted noexec"
            } else {
                "is read-only"
            }
        )
    })
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
            Self::NoPrivilege { said, .. } if said.contains("tty") => {
                "as root on the host: echo 'Defaults !requiretty' > /etc/sudoers.d/berth-tty"
                    .to_owned()
            }
            Self::WrongPassword { .. } => {
                "the password is asked for on a terminal, or read from the file that \
                 $BERTH_SUDO_PASSWORD_FILE names or from $BERTH_SUDO_PASSWORD"
                    .to_owned()
            }
            Self::Shortage(shortage) => shortage.hint(),
            Self::WentBack { runs: true, .. } => {
                "nothing is lost; the lines above are the new agent's last words".to_owned()
            }
            Self::WentBack { runs: false, .. } => {
                "berth machine doctor tells more about the machine".to_owned()
            }
            Self::NoPrivilege { user, .. } => format!(
                "give the password with --sudo-password-file or $BERTH_SUDO_PASSWORD_FILE, or as root on the host: echo '{user} ALL=(ALL) NOPASSWD: ALL' \
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
            Self::Settle => "settling the change of the agent",
        })
    }
}

impl Change {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        match line.strip_prefix("berth:changed=")? {
            "binary" => Some(Self::Binary),
            "configuration" => Some(Self::Configuration),
            "unit" => Some(Self::Unit),
            "certificates" => Some(Self::Certificates),
            _ => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Binary => "binary",
            Self::Configuration => "configuration",
            Self::Unit => "unit",
            Self::Certificates => "certificates",
        })
    }
}
