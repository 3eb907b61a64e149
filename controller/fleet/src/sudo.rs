//! Passwords for `sudo` on hosts whose user needs one.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Names a file whose first line is the password.
const FILE_VARIABLE: &str = "BERTH_SUDO_PASSWORD_FILE";
/// Holds the password itself.
const VARIABLE: &str = "BERTH_SUDO_PASSWORD";

/// Asks somebody for the password of a user on a machine; the number grows when it was wrong.
pub type SudoAsk = dyn Fn(&str, &str, u32) -> Option<Zeroizing<String>> + Send + Sync;

/// Where passwords for `sudo` come from: a file, the environment, and then whoever can be asked.
#[derive(Clone, Default)]
pub struct Sudo {
    file: Option<PathBuf>,
    ask: Option<Arc<SudoAsk>>,
}

// === impl Sudo ===

impl Sudo {
    /// Reads the password from the first line of `file` instead of the one that the environment
    /// names.
    #[must_use]
    pub fn with_file(mut self, file: Option<PathBuf>) -> Self {
        self.file = file;
        self
    }

    /// Asks `ask` when there is no password elsewhere.
    #[must_use]
    pub fn with_ask(mut self, ask: Arc<SudoAsk>) -> Self {
        self.ask = Some(ask);
        self
    }

    /// Returns a password to try, if there is one.
    pub(crate) fn ask(&self, machine: &str, user: &str, attempt: u32) -> Option<Zeroizing<String>> {
        self.written()
            .or_else(|| (self.ask.as_ref()?)(machine, user, attempt))
    }

    fn written(&self) -> Option<Zeroizing<String>> {
        let named = || {
            let path = std::env::var_os(FILE_VARIABLE)?;
            (!path.is_empty()).then(|| PathBuf::from(path))
        };
        if let Some(path) = self.file.clone().or_else(named) {
            let text = Zeroizing::new(fs::read_to_string(&path).unwrap_or_default());
            let line = text.lines().next().unwrap_or_default();
            if line.is_empty() {
                tracing::warn!(path = %path.display(), "no password for sudo in the file");
            }
            return Some(Zeroizing::new(line.to_owned()));
        }
        let text = std::env::var(VARIABLE).ok()?;
        Some(Zeroizing::new(text))
    }
}

impl fmt::Debug for Sudo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sudo").finish_non_exhaustive()
    }
}
