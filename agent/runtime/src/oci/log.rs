//! Where a command says what went wrong: standard error, and a file if there is one.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::json;

use super::error::OciError;
use super::time::rfc3339;

/// Where to say it.
#[derive(Debug, Default)]
pub(super) struct Log {
    file: Option<PathBuf>,
    is_json: bool,
}

impl Log {
    pub(super) fn new(file: Option<PathBuf>, format: Option<&str>) -> Result<Self, OciError> {
        let is_json = match format {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                return Err(OciError::Usage(format!("no such log format: {other}")));
            }
        };
        Ok(Self { file, is_json })
    }

    pub(super) fn error(&self, text: &str) {
        self.say("error", text);
        // Nobody is left to be told about a failure to tell.
        drop(writeln!(io::stderr(), "berthd runtime: {text}"));
    }

    pub(super) fn warn(&self, text: &str) {
        self.say("warning", text);
        drop(writeln!(io::stderr(), "berthd runtime: warning: {text}"));
    }

    fn say(&self, level: &str, text: &str) {
        let Some(path) = &self.file else { return };
        let time = rfc3339(SystemTime::now());
        let line = if self.is_json {
            json!({"level": level, "msg": text, "time": time}).to_string()
        } else {
            format!("time={time:?} level={level} msg={text:?}")
        };
        // A log that cannot be written must not keep a container from being removed.
        let file = File::options().append(true).create(true).open(path);
        drop(file.and_then(|mut file| writeln!(file, "{line}")));
    }
}
