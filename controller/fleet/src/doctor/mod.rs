//! Explaining why a machine cannot be reached: each thing on the way to its agent is looked at by
//! itself, and what is wrong comes with what to do. Nothing is changed, and no lock is taken, so
//! that it also works while something else hangs.

mod host;
mod reach;
mod tls;

use std::sync::Mutex;
use std::time::Duration;

use berth_controller_provision::{Examination, Passwords, examine};
use berth_controller_ssh::Session;
use berth_controller_store::{MachineRecord, Progress as Stage};
use berth_provisioners_api::{Machine, MachineState};
use serde::Serialize;
use tokio::time::timeout;

use crate::fleet::Loaded;
use crate::list::{chain, failed_call};
use crate::{Fleet, MachineError, Silent};

/// How long one thing may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// It works, but should not stay so.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `dns`, `ssh-port`, `host-key`, `ssh-login`, `clock`, `disk`, `cgroups`, `kernel`,
    /// `agent`, `engine-port`, `tls`, `client-certificate`, `answer` …
    pub name: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found, for people.
    pub said: String,
    /// What to do about it.
    pub todo: Option<String>,
}

/// All that was looked at, in the order in which one thing rests on another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The machine.
    pub machine: String,
    /// The checks; those that could not be made because an earlier one failed are missing.
    pub checks: Vec<Check>,
}

// === impl Check ===

impl Check {
    pub(crate) fn ok(name: &'static str, said: impl Into<String>) -> Self {
        Self {
            name,
            health: Health::Ok,
            said: said.into(),
            todo: None,
        }
    }

    pub(crate) fn warn(
        name: &'static str,
        said: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            health: Health::Warn,
            todo: Some(todo.into()),
            ..Self::ok(name, said)
        }
    }

    pub(crate) fn fail(
        name: &'static str,
        said: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            health: Health::Fail,
            ..Self::warn(name, said, todo)
        }
    }
}

// === impl Diagnosis ===

impl Diagnosis {
    /// Returns how the worst of all is.
    #[must_use]
    pub fn health(&self) -> Health {
        let worst = self.checks.iter().map(|check| check.health).max();
        worst.unwrap_or(Health::Ok)
    }
}

impl Fleet {
    /// Looks at everything between here and a machine's agent.
    ///
    /// # Errors
    ///
    /// When there is no such machine or its record cannot be read; all else is in the diagnosis.
    pub async fn diagnose(&self, name: &str) -> Result<Diagnosis, MachineError> {
        let Loaded { record, machine } = self.load(name)?;
        let mut checks = Vec::new();
        checks.extend(record_check(&record));
        let runs = state_check(name, &*machine, &mut checks).await;
        if !runs {
            return Ok(Diagnosis {
                machine: name.to_owned(),
                checks,
            });
        }
        let examination = match self.reach(&record, &*machine, &mut checks).await {
            Some(session) => {
                let examined = self.examine(name, &session, &*machine, &mut checks).await;
                session.close().await;
                examined
            }
            None => None,
        };
        let inside = examination.as_ref().and_then(|found| found.inside.as_ref());
        if let Some(found) = &examination {
            checks.extend(host::checks(name, found));
        }
        let listens = inside.is_some_and(|inside| inside.listens);
        let port = reach::engine_port(name, &record, &*machine, listens).await;
        let open = port.health == Health::Ok;
        let at = checks.len();
        checks.push(port);
        let certificate = inside.map(|inside| inside.certificate.as_str());
        checks.extend(self.tls_checks(&record, &*machine, open, certificate).await);
        let answer = self.answer_check(&record, &*machine).await;
        // A closed port is no more than a nuisance where the way through ssh is open.
        if !open && answer.health == Health::Ok {
            checks[at].health = Health::Warn;
        }
        checks.push(answer);
        Ok(Diagnosis {
            machine: name.to_owned(),
            checks,
        })
    }

    async fn examine(
        &self,
        name: &str,
        session: &Session,
        machine: &dyn Machine,
        checks: &mut Vec<Check>,
    ) -> Option<Examination> {
        let password = Mutex::new(None);
        let ask = |user: &str, attempt| self.sudo.ask(name, user, attempt);
        let passwords = Passwords::new(&ask, &password);
        let examined = timeout(
            PATIENCE * 2,
            examine(session, machine.engine_port(), passwords),
        );
        match examined.await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => {
                let todo = error.hint().unwrap_or_else(|| {
                    format!("try a command by hand: berth machine ssh {name} true")
                });
                checks.push(Check::fail("host", chain(&error), todo));
                None
            }
            Err(_elapsed) => {
                checks.push(Check::fail(
                    "host",
                    "the host takes commands but does not end them",
                    format!("look for what it is busy with: berth machine ssh {name} top -b -n 1"),
                ));
                None
            }
        }
    }

    /// Speaks to the agent as every other command does.
    async fn answer_check(&self, record: &MachineRecord, machine: &dyn Machine) -> Check {
        let name = &record.name;
        let repair = format!("berth machine provision {name} repairs it");
        let asked = async {
            let agent = self
                .connect_agent(record, machine, &Silent)
                .await
                .map_err(|error| chain(&error))?;
            let answer = agent.version().await;
            let answer = answer.map_err(|status| failed_call(&agent, &status))?;
            Ok::<_, String>((agent.route(), answer))
        };
        match timeout(PATIENCE * 2, asked).await {
            Ok(Ok((route, answer))) => {
                let by = match route {
                    berth_controller_client::Route::Direct => "over mutual TLS",
                    _ => "through ssh",
                };
                let said = format!("the agent, version {}, answers {by}", answer.version);
                let known = record
                    .side
                    .agent
                    .as_ref()
                    .map(|agent| agent.sha256.as_str());
                match known {
                    Some(known)
                        if !answer.executable_sha256.is_empty()
                            && known != answer.executable_sha256 =>
                    {
                        Check::warn(
                            "answer",
                            format!("{said}, but it is not the one that was installed last"),
                            repair,
                        )
                    }
                    _ => Check::ok("answer", said),
                }
            }
            Ok(Err(said)) => Check::fail("answer", said, repair),
            Err(_elapsed) => Check::fail(
                "answer",
                "the agent takes connections but does not answer",
                format!("restart it: {repair}"),
            ),
        }
    }
}

fn record_check(record: &MachineRecord) -> Option<Check> {
    let name = &record.name;
    match record.side.progress {
        Stage::Ready => None,
        Stage::Creating => Some(Check::fail(
            "record",
            "its creation was cut off, or is still under way",
            format!("berth machine resume {name} goes on with it, berth machine rm {name} ends it"),
        )),
        Stage::Removing => Some(Check::fail(
            "record",
            "its removal was cut off",
            format!("berth machine rm {name} ends it"),
        )),
    }
}

/// Asks the driver; returns whether it is worth looking further.
async fn state_check(name: &str, machine: &dyn Machine, checks: &mut Vec<Check>) -> bool {
    let state = timeout(PATIENCE, machine.state()).await;
    let check = match &state {
        Ok(Ok(MachineState::Running)) => Check::ok("state", "the driver says that it runs"),
        Ok(Ok(MachineState::NotFound)) => Check::fail(
            "state",
            "the machine does not exist any more where its driver made it",
            format!("berth machine rm {name} removes the record"),
        ),
        Ok(Ok(state)) => Check::fail(
            "state",
            format!(
                "the driver says that it is {}",
                state.as_str().to_lowercase()
            ),
            format!("berth machine start {name}"),
        ),
        Ok(Err(error)) => Check::warn(
            "state",
            format!("the driver cannot tell: {}", chain(error)),
            error
                .hint()
                .unwrap_or("see whether the provider can be reached")
                .to_owned(),
        ),
        Err(_elapsed) => Check::warn(
            "state",
            "the driver does not answer",
            "see whether the provider can be reached",
        ),
    };
    checks.push(check);
    // The generic driver only knows whether ssh answers, which is looked at more closely.
    match state {
        Ok(Ok(MachineState::NotFound | MachineState::Paused | MachineState::Saved)) => false,
        Ok(Ok(MachineState::Stopped)) => machine.ip().await.is_ok() && !is_local_driver(machine),
        _ => true,
    }
}

/// Returns whether the driver itself turns the machine on and off, so that its word is final.
fn is_local_driver(machine: &dyn Machine) -> bool {
    machine.config().get("EnginePort").is_none()
}
