//! Running things as root, whichever way the host has.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use berth_controller_ssh::{ExecError, Output, Session};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::facts::{HostFacts, Privilege};
use crate::run::{ProvisionError, Step, exec, quote};

/// How often a wrong password is asked for again.
const ATTEMPTS: u32 = 3;
/// Ends what is not the script's own input.
const BEGIN: &str = "berth-begin";

/// Gives the password of a user for `sudo`; called again with a higher number when it was wrong.
pub type Ask<'a> = &'a (dyn Fn(&str, u32) -> Option<Zeroizing<String>> + Send + Sync);

/// Where passwords for `sudo` come from, and the one that was right.
///
/// A password travels on standard input only, never in an argument, and is overwritten in memory.
#[derive(Clone, Copy)]
pub struct Passwords<'a> {
    ask: Option<Ask<'a>>,
    found: Option<&'a Mutex<Option<Zeroizing<String>>>>,
}

/// Runs commands as root on one host, by the way that was found to it.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    session: &'a Session,
    privilege: &'a Privilege,
    passwords: Passwords<'a>,
}

// === impl Passwords ===

impl<'a> Passwords<'a> {
    /// There are none.
    pub const NONE: Self = Self {
        ask: None,
        found: None,
    };

    /// Asks `ask`, and keeps the right one in `found`.
    #[must_use]
    pub fn new(ask: Ask<'a>, found: &'a Mutex<Option<Zeroizing<String>>>) -> Self {
        Self {
            ask: Some(ask),
            found: Some(found),
        }
    }

    fn known(&self) -> Option<Zeroizing<String>> {
        self.found?
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, password: Zeroizing<String>) {
        if let Some(found) = self.found {
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(password);
        }
    }
}

impl fmt::Debug for Passwords<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Passwords").finish_non_exhaustive()
    }
}

/// Finds a password that `sudo` takes; false when nobody has one.
pub(crate) async fn find_password(
    session: &Session,
    user: &str,
    passwords: Passwords<'_>,
) -> Result<bool, ProvisionError> {
    let Some(ask) = passwords.ask else {
        return Ok(false);
    };
    let mut last: Option<Zeroizing<String>> = None;
    for attempt in 0..ATTEMPTS {
        let known = (attempt == 0).then(|| passwords.known()).flatten();
        let Some(password) = known.or_else(|| ask(user, attempt)) else {
            break;
        };
        // A file or a variable gives the same again.
        if last.as_ref() == Some(&password) {
            break;
        }
        let line = Zeroizing::new(format!("{}\n", *password));
        // Only the password is sent, so that a wrong one cannot make `sudo` read on in a script.
        let tried = exec(session, Step::Probe, "sudo -k -S true", line.as_bytes()).await?;
        if tried.status.success() {
            passwords.keep(password);
            return Ok(true);
        }
        let said = String::from_utf8_lossy(&tried.stderr).into_owned();
        if !said.contains("incorrect") && !said.contains("try again") {
            return Err(ProvisionError::NoPrivilege {
                user: user.to_owned(),
                said: without_prompt(&said),
            });
        }
        last = Some(password);
    }
    if last.is_some() {
        return Err(ProvisionError::WrongPassword {
            user: user.to_owned(),
        });
    }
    Ok(false)
}

/// Takes `sudo`'s question out of what it said.
fn without_prompt(said: &str) -> String {
    let said = said.trim();
    let rest = said
        .strip_prefix("[sudo] password for ")
        .and_then(|rest| rest.split_once(": "));
    rest.map_or(said, |(_user, rest)| rest).trim().to_owned()
}

// === impl Root ===

impl<'a> Root<'a> {
    /// Becomes root on the host behind `session` as `facts` say; the right password is among
    /// `passwords` where it takes one, as after [`crate::enter`].
    #[must_use]
    pub fn new(session: &'a Session, facts: &'a HostFacts, passwords: Passwords<'a>) -> Self {
        Self {
            session,
            privilege: &facts.privilege,
            passwords,
        }
    }

    /// Runs a script that travels on standard input.
    pub(crate) async fn script(&self, step: Step, script: &[u8]) -> Result<Output, ProvisionError> {
        self.run(step, "exec sh -s", script).await
    }

    /// Runs one line of shell with `stdin` as its input.
    pub(crate) async fn run(
        &self,
        step: Step,
        line: &str,
        stdin: impl AsyncRead + Send + Unpin,
    ) -> Result<Output, ProvisionError> {
        let (command, head) = self.command(line);
        exec(self.session, step, &command, head.as_bytes().chain(stdin)).await
    }

    /// Runs a script that travels on standard input, for as long as it takes.
    ///
    /// # Errors
    ///
    /// When it cannot be run to its end.
    pub async fn order(&self, script: &str) -> Result<Output, ExecError> {
        let (command, head) = self.command("exec sh -s");
        let input = head.as_bytes().chain(script.as_bytes());
        self.session.exec_reading(&command, input).await
    }

    /// Starts one line of shell and returns its input and output as one stream.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub async fn open(
        &self,
        line: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>, ExecError> {
        let (command, head) = self.command(line);
        let mut stream = self.session.open_command(&command).await?;
        if !head.is_empty() {
            let sent = async {
                stream.write_all(head.as_bytes()).await?;
                stream.flush().await
            };
            sent.await.map_err(ExecError::Local)?;
        }
        Ok(stream)
    }

    /// Returns the command that runs `line` as root, and what goes before its input.
    fn command(&self, line: &str) -> (String, Zeroizing<String>) {
        let before = match self.privilege {
            Privilege::Sudo => "sudo -n ",
            Privilege::Doas => "doas -n ",
            Privilege::SudoWithPassword => {
                let password = self.passwords.known().unwrap_or_default();
                let head = Zeroizing::new(format!("{}\n{BEGIN}\n", *password));
                // `-k` has it read the password even where it would not need it; and what it did
                // not read is not for the line.
                let line = format!(
                    "while IFS= read -r word && [ \"$word\" != {BEGIN} ]; do :; done; {line}"
                );
                return (format!("sudo -k -S sh -c {}", quote(&line)), head);
            }
            _ => "",
        };
        (
            format!("{before}sh -c {}", quote(line)),
            Zeroizing::default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_not_part_of_the_answer() {
        assert_eq!(
            without_prompt("[sudo] password for guest: guest is not in the sudoers file.\n"),
            "guest is not in the sudoers file."
        );
        assert_eq!(without_prompt("sudo: no\n"), "sudo: no");
    }
}
