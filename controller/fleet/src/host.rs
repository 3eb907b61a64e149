//! Doing things as root on a host that is not, or not yet, a machine with our agent.

use std::time::Duration;

use berth_controller_provision::{HostFacts, Privilege, ProvisionError, probe};
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
    /// It cannot be told what the host is.
    #[error("the host cannot be looked at")]
    Probe(#[source] Box<ProvisionError>),
    /// The user cannot become root.
    #[error("user {user:?} is not root and cannot become root on the host")]
    NoPrivilege {
        /// The user.
        user: String,
    },
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
    password: Option<Zeroizing<String>>,
}

impl HostError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Probe(error) => error.hint(),
            Self::NoPrivilege { user } => Some(format!(
                "log in as root, or allow {user} to use sudo on the host (BERTH_SUDO_PASSWORD_FILE \
                 names a file with the password where sudo wants one)"
            )),
            _ => None,
        }
    }
}

impl<'a> Host<'a> {
    /// Looks at the host behind `session`.
    pub(crate) async fn look(
        session: &'a Session,
        name: &str,
        sudo: &Sudo,
    ) -> Result<Self, HostError> {
        let facts = probe(session)
            .await
            .map_err(|error| HostError::Probe(Box::new(error)))?;
        let password = match facts.privilege {
            Privilege::Root | Privilege::Sudo | Privilege::Doas => None,
            Privilege::SudoWithPassword => sudo.ask(name, &facts.user, 0),
            _ => None,
        };
        Ok(Self {
            session,
            facts,
            password,
        })
    }

    /// Runs a script as root and returns what it printed. The script travels on standard input.
    pub(crate) async fn run(&self, what: &'static str, script: &str) -> Result<String, HostError> {
        let refused = || HostError::NoPrivilege {
            user: self.facts.user.clone(),
        };
        // All of it is read before any of it runs, so that half a script does nothing.
        let script = format!("main() {{\n{script}\n}}\nmain </dev/null\n");
        let (command, input) = match (&self.facts.privilege, &self.password) {
            (Privilege::Root, _) => ("sh -s", Zeroizing::new(script)),
            (Privilege::Sudo, _) => ("sudo -n sh -s", Zeroizing::new(script)),
            (Privilege::Doas, _) => ("doas -n sh -s", Zeroizing::new(script)),
            // With `-k` the password is read even where it would not be needed.
            (Privilege::SudoWithPassword, Some(password)) => (
                "sudo -k -S -p '' sh -s",
                Zeroizing::new(format!("{}\n{script}", **password)),
            ),
            _ => return Err(refused()),
        };
        let ran = timeout(LIMIT, self.session.exec(command, input.as_bytes())).await;
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
