//! How a driver's operation fails.

use std::error::Error;

/// A failed operation of a driver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// A flag is missing or its value makes no sense.
    #[error("flag --{flag} {problem}")]
    Flag {
        /// The flag's name without dashes.
        flag: String,
        /// What is wrong, as the end of a sentence: "needs an address".
        problem: String,
    },
    /// The stored configuration cannot be read.
    #[error("configuration of machine {machine} cannot be read")]
    Config {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Machines of this kind cannot do this.
    #[error("machines of driver {driver} cannot {operation}")]
    Unsupported {
        /// The driver.
        driver: String,
        /// What was asked, as a verb: "be started".
        operation: String,
        /// What the operator can do instead.
        hint: Option<String>,
    },
    /// The machine does not exist (any more) where it should run.
    #[error("machine {machine} does not exist at driver {driver}")]
    Gone {
        /// The driver.
        driver: String,
        /// The machine.
        machine: String,
    },
    /// The journal could not record a step, so the step was not done.
    #[error(transparent)]
    Journal(#[from] crate::JournalError),
    /// Something outside refused.
    #[error("{action}")]
    Failed {
        /// What was being done, as a lower-case fragment that names the noun:
        /// "cannot start sshd in machine demo".
        action: String,
        /// What the operator can do about it.
        hint: Option<String>,
        /// Why.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl DriverError {
    /// Returns a failure of `action` with its cause.
    pub fn failed(
        action: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            action: action.into(),
            hint: None,
            source: Some(source.into()),
        }
    }

    /// Returns a failure that no other error caused.
    pub fn refused(action: impl Into<String>) -> Self {
        Self::Failed {
            action: action.into(),
            hint: None,
            source: None,
        }
    }

    /// Adds what the operator can do about it, where the error has room for it.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Failed { hint, .. } | Self::Unsupported { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Failed { hint, .. } | Self::Unsupported { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }
}
