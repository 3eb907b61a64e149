//! How the engine's errors look from outside: each says what kind of failure it is and carries a
//! stable word, so that a wire format maps kinds and never compares texts.
//!
//! The `Display` of an engine error is the sentence that Docker prints for the same failure, because
//! that sentence is what people and scripts on the other side know. Causes stay in `source()`.

use berth_agent_runtime::FailureKind;

/// Kind of a failure, chosen so that every wire format has an equivalent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The thing that was named does not exist.
    NotFound,
    /// A name is taken.
    AlreadyExists,
    /// The thing is in a state that does not allow the call.
    Conflict,
    /// The request itself is wrong.
    InvalidArgument,
    /// No space, no addresses, too many of something.
    Exhausted,
    /// The other side (a registry) refused who is calling.
    Unauthorized,
    /// Something outside the agent could not be reached.
    Unavailable,
    /// Not supported by this agent or kernel.
    Unsupported,
    /// Anything else that went wrong inside.
    Internal,
}

/// Implemented by every error that leaves the engine.
pub trait Classified: std::error::Error {
    /// Returns the kind of the failure.
    fn class(&self) -> ErrorClass;

    /// Returns the stable word for the failure, such as `container-not-found`.
    fn reason(&self) -> &'static str;

    /// Returns the sentence for the outside: the error and its causes, joined by colons.
    fn sentence(&self) -> String {
        with_causes(self.to_string(), self.source())
    }
}

/// Joins an error's text and its causes by colons.
pub(crate) fn with_causes(
    mut text: String,
    mut cause: Option<&(dyn std::error::Error + 'static)>,
) -> String {
    while let Some(error) = cause {
        let next = error.to_string();
        // A transparent wrapper repeats its cause's text; once is enough.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Returns the exit code that Docker gives to a command that could not be started; nothing when it
/// was not the command's fault.
pub(crate) fn command_exit_code(kind: FailureKind) -> Option<i32> {
    match kind {
        FailureKind::CommandNotFound => Some(127),
        FailureKind::CommandNotExecutable | FailureKind::WorkingDirectory => Some(126),
        FailureKind::DiskFull | FailureKind::Other => None,
    }
}

/// Returns the stable word for a failed start of a process; `otherwise` when no kind says more.
pub(crate) fn command_reason(kind: FailureKind, otherwise: &'static str) -> &'static str {
    match kind {
        FailureKind::CommandNotFound => "command-not-found",
        FailureKind::CommandNotExecutable | FailureKind::WorkingDirectory => {
            "command-not-executable"
        }
        FailureKind::DiskFull => "disk-full",
        FailureKind::Other => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    impl Classified for Outer {
        fn class(&self) -> ErrorClass {
            ErrorClass::Internal
        }
        fn reason(&self) -> &'static str {
            "outer"
        }
    }

    #[test]
    fn a_sentence_names_every_cause_once() {
        let error = Outer(std::io::Error::other("inner"));
        assert_eq!(error.sentence(), "outer: inner");
    }
}
