//! How a command ends badly: an exit code, a sentence, and what to do next.

use std::error::Error;
use std::io;
use std::sync::OnceLock;

use berth_controller_client::Agent;
use berth_proto::{EXIT_CODE_TRAILER, REASON_TRAILER};
use tonic::{Code, Status};

/// Exit code of an error of berth or the engine, where the container's own codes must stay
/// distinguishable.
pub(crate) const ENGINE_ERROR: u8 = 125;

/// Exit code where all was done that could be done now, and the rest follows by itself.
pub(crate) const PENDING: u8 = 75;

/// Exit code of a program that SIGPIPE would have killed.
const BROKEN_PIPE: u8 = 141;

/// Our own word for a call that the agent does not know.
pub(crate) const NOT_SERVED: &str = "not-served";

/// The agent that this process speaks to. Failed calls come from everywhere and know only that the
/// connection was closed; the agent knows why.
static AGENT: OnceLock<Agent> = OnceLock::new();

/// Remembers the agent whose connection failures are about.
pub(crate) fn speaking_to(agent: &Agent) {
    // A command speaks to one agent; a second one would only explain itself less well.
    let _ = AGENT.set(agent.clone());
}

/// A command that did not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: u8,
    message: Option<String>,
    hints: Vec<String>,
    reason: String,
}

/// What a command returns: its exit code.
pub(crate) type Outcome = Result<u8, Failure>;

// === impl Failure ===

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            exit: 1,
            message: Some(message.into()),
            hints: Vec::new(),
            reason: String::new(),
        }
    }

    /// A failure that was told already.
    pub(crate) fn silent(exit: u8) -> Self {
        Self {
            exit,
            message: None,
            hints: Vec::new(),
            reason: String::new(),
        }
    }

    /// An error with its causes.
    pub(crate) fn because(error: &(dyn Error + 'static)) -> Self {
        Self::new(chain(error))
    }

    /// What was tried, and the error with its causes.
    pub(crate) fn during(what: &str, error: &(dyn Error + 'static)) -> Self {
        Self::new(format!("{what}: {}", chain(error)))
    }

    /// Adds a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Sets the exit code.
    pub(crate) fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// Sets the exit code, unless the failure has a special one.
    pub(crate) fn or_exit(mut self, exit: u8) -> Self {
        if self.exit == 1 {
            self.exit = exit;
        }
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.exit
    }

    /// The stable word that the agent gave.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The sentence, unless it was told already.
    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The next steps.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(BROKEN_PIPE),
            _ => Self::because(&error),
        }
    }
}

impl From<crate::template::TemplateError> for Failure {
    fn from(error: crate::template::TemplateError) -> Self {
        Self::because(&error)
            .hint("`--format json` shows the fields that exist")
            .exit(64)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let trailer = |name| {
            let value = status.metadata().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let mut reason = trailer(REASON_TRAILER);
        if reason.is_empty() && status.code() == Code::Unimplemented {
            NOT_SERVED.clone_into(&mut reason);
        }
        let mut failure = Self::new(sentence(&status));
        failure.exit = match reason.as_str() {
            "command-not-found" => 127,
            "command-not-executable" => 126,
            "build-failed" => trailer(EXIT_CODE_TRAILER).parse().unwrap_or(1),
            _ => 1,
        };
        if status.source().is_some() {
            failure.hints.push(
                "containers outlive the agent: try again, or see `berth machine ls`".to_owned(),
            );
        }
        if let Some(hint) = next_step(&reason) {
            failure.hints.push(hint.to_owned());
        }
        failure.reason = reason;
        failure
    }
}

/// The agent's sentence, or the transport's with its causes.
fn sentence(status: &Status) -> String {
    match status.source() {
        Some(source) => {
            let why = AGENT.get().and_then(Agent::fault);
            let why = why.unwrap_or_else(|| root(source));
            format!("the connection to the agent was lost: {why}")
        }
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}

fn next_step(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "container-not-found" => "`berth ps -a` lists the containers",
        "image-not-found" => "check the name; `berth images` lists the images of the machine",
        "name-in-use" => "remove or rename the other container, or choose another name",
        "not-running" => "`berth start` starts it",
        "port-in-use" => "choose another host port, or stop what listens there",
        "registry-unauthorized" => "`berth login` stores a name and password for the registry",
        "disk-full" => "free space on the machine: `berth rmi`, `berth rm`",
        "command-not-found" | "command-not-executable" => {
            "look at the image's command with `berth inspect`"
        }
        NOT_SERVED => {
            "the agent is older than this berth: `berth machine provision` brings it up to date"
        }
        _ => return None,
    })
}

/// The innermost cause, without the address of a page that some libraries add.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let text = innermost.to_string();
    text.split(": http").next().unwrap_or(&text).to_owned()
}

/// An error and its causes, without saying anything twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
