//! Doing things as root on a host that is not, or not yet, a machine with our agent.

use std::sync::Mutex;
use std::time::Duration;

use berth_controller_provision::{HostFacts, Passwords, ProvisionError, Root, enter};
use berth_controller_ssh::{ExecError, Session};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::Sudo;

/// How long a script may take; stopping a daemon with many containers takes its time.
const LIMIT: Duration = Duration::from_secs(300);
/// How much of what a host printed goes into an error.
const MAX_SAID: usize = 2000;

/// Something could not be done on a host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// It cannot be told what the host is, or the user cannot become root there.
    #[error(transparent)]
    Enter(Box<ProvisionError>),
    /// The command could not be run.
    #[error("{what} could not be run on the host")]
    Ssh {
        /// What was to be done.
        what: &'static str,
        /// Why.
        #[source]
        source: ExecError,
    },
    /// The command failed.
    #[error("{what} failed on the host: {said}")]
    Failed {
        /// What was to be done.
        what: &'static str,
        /// What the host printed.
        said: String,
    },
    /// The command took too long.
    #[error("{what} did not end on the host within {} s", LIMIT.as_secs())]
    Timeout {
        /// What was to be done.
        what: &'static str,
    },
}

/// A host and the way to be root on it.
pub(crate) struct Host<'a> {
    session: &'a Session,
    pub(crate) facts: HostFacts,
    password: Mutex<Option<Zeroizing<String>>>,
}

impl HostError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Enter(error) => error.hint(),
            _ => None,
        }
    }
}

impl<'a> Host<'a> {
    /// Looks at the host behind `session`, and finds the way to be root on it.
    pub(crate) async fn look(
        session: &'a Session,
        name: &str,
        sudo: &Sudo,
    ) -> Result<Self, HostError> {
        let password = Mutex::new(None);
        let ask = |user: &str, attempt| sudo.ask(name, user, attempt);
        let facts = enter(session, Passwords::new(&ask, &password))
            .await
            .map_err(|error| HostError::Enter(Box::new(error)))?;
        Ok(Self {
            session,
            facts,
            password,
        })
    }

    /// Returns the way to be root.
    pub(crate) fn root(&self) -> Root<'_> {
        let passwords = Passwords::new(&|_user, _attempt| None, &self.password);
        Root::new(self.session, &self.facts, passwords)
    }

    /// Runs a script as root and returns what it printed. The script travels on standard input.
    pub(crate) async fn run(&self, what: &'static str, script: &str) -> Result<String, HostError> {
        // All of it is read before any of it runs, so that half a script does nothing.
        let script = Zeroizing::new(format!("main() {{\n{script}\n}}\nmain </dev/null\n"));
        let ran = timeout(LIMIT, self.root().order(&script)).await;
        let output = ran
            .map_err(|_elapsed| HostError::Timeout { what })?
            .map_err(|source| HostError::Ssh { what, source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        })
        .trim()
        .to_owned();
        let start = said
            .char_indices()
            .rev()
            .nth(MAX_SAID)
            .map_or(0, |(at, _)| at);
        Err(HostError::Failed {
            what,
            said: said[start..].to_owned(),
        })
    }
}

/// Returns the lines that a script has marked with `key`.
pub(crate) fn marked(said: &str, key: &str) -> String {
    let mark = format!("berth:{key}=");
    let lines = said.lines().filter_map(|line| line.strip_prefix(&mark));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Returns a here-document for a script: `text` as the input of `command`.
pub(crate) fn with_input(command: &str, text: &str) -> String {
    let text = text.trim_end_matches('\n');
    format!("{command} <<'berth-end-of-text'\n{text}\nberth-end-of-text\n")
}
