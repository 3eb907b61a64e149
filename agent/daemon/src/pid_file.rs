//! The process id of the agent, for those who send it signals or look for its program.

use std::fs;
use std::path::{Path, PathBuf};

/// Its name in the run directory.
pub(crate) const NAME: &str = "berthd.pid";

/// The file, removed when the agent ends in order.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes our process id. Best effort: the agent serves without it, too.
    pub(crate) fn write(run_root: &Path) -> Self {
        let path = run_root.join(NAME);
        let temporary = run_root.join(".berthd.pid.writing");
        let text = format!("{}\n", std::process::id());
        let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), error = %error, "process id not written");
        }
        Self(path)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Best effort: whoever reads it looks whether that process is an agent.
        let _ = fs::remove_file(&self.0);
    }
}
