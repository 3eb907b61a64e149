//! The record of changes: one file with a JSON object a line, and a bounded number of older ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::identity::{Identity, Role};
use crate::note::AuditNote;

/// Bytes after which a new file is begun.
const LARGEST: u64 = 8 * 1024 * 1024;
/// Older files that are kept.
const OLDER: u32 = 4;
/// Bytes of a caller's own text that a line has at most.
const LONGEST: usize = 512;

/// The record of changes.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    largest: u64,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

impl AuditLog {
    /// Makes the record that is kept in a file; nothing is opened before the first change.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            largest: LARGEST,
            open: Mutex::new(None),
        }
    }

    /// Begins to record a change: its call (method and path), and what it is about, if the path does not
    /// say that.
    #[must_use = "it is recorded at the note's end"]
    pub fn begin(
        self: &Arc<Self>,
        identity: &Arc<Identity>,
        call: String,
        object: String,
    ) -> AuditNote {
        AuditNote::new(Arc::clone(self), Arc::clone(identity), call, object)
    }

    /// Appends a change. A record that cannot be written is told to the agent's log: a full disk must not
    /// keep anybody from making room.
    pub(crate) fn append_line(&self, note: &AuditNote) {
        let time = OffsetDateTime::now_utc().format(&Rfc3339);
        let line = json!({
            "time": time.unwrap_or_default(),
            "who": note.identity.json(),
            "role": match note.identity.role() {
                Role::Operator => "operator",
                Role::Reader => "reader",
            },
            "call": cut(&note.call),
            "object": cut(&note.object),
            "result": note.result,
        });
        if let Err(error) = self.append(&format!("{line}\n")) {
            let path = self.path.display();
            tracing::error!(error = %error, %path, %line, "change not recorded");
        }
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let length = line.len() as u64;
        let is_full = |open: &Open| open.size > 0 && open.size + length > self.largest;
        let mut current = match open.take() {
            Some(current) => current,
            None => Open::at(&self.path)?,
        };
        if is_full(&current) {
            drop(current);
            self.rotate()?;
            current = Open::at(&self.path)?;
        }
        // One call, so that a line is there or not.
        current.file.write_all(line.as_bytes())?;
        current.size += length;
        *open = Some(current);
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..OLDER).rev() {
            move_if_there(&self.older(number), &self.older(number + 1))?;
        }
        move_if_there(&self.path, &self.older(1))
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST.min(text.len()))]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).expect("log");
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON")
    }

    #[test]
    fn a_change_is_a_line_that_says_who_and_what() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("audit.log");
        let identity = Arc::new(Identity::local(7));
        for round in 0..2 {
            // The second opens what the first has left.
            let log = Arc::new(AuditLog::new(path.clone()));
            let note = log.begin(&identity, format!("POST /{round}"), String::new());
            note.end("204");
        }
        let lines = lines(&path);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["who"]["uid"], 7);
        assert_eq!(lines[1]["call"], "POST /1");
        assert_eq!(lines[1]["result"], "204");
    }

    #[test]
    fn a_change_that_nobody_waits_for_is_a_line_as_well() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("audit.log");
        let log = Arc::new(AuditLog::new(path.clone()));
        let identity = Arc::new(Identity::local(0));
        let mut note = log.begin(&identity, "DELETE /x".to_owned(), "name=x".to_owned());
        note.is_about("id=1");
        assert!(!path.exists());
        drop(note);
        let lines = lines(&path);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["object"], "name=x id=1");
        assert_eq!(lines[0]["result"], "cut off");
    }

    #[test]
    fn older_files_are_kept_up_to_a_number() {
        let folder = tempfile::tempdir().expect("folder");
        let mut log = AuditLog::new(folder.path().join("audit.log"));
        log.largest = 100;
        let log = Arc::new(log);
        let identity = Arc::new(Identity::local(0));
        let long = "x".repeat(4 * LONGEST);
        for _ in 0..20 {
            log.begin(&identity, long.clone(), String::new()).end("204");
        }
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .expect("folder")
            .map(|file| file.expect("file").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        let wanted: Vec<String> = std::iter::once("audit.log".to_owned())
            .chain((1..=OLDER).map(|number| format!("audit.log.{number}")))
            .collect();
        assert_eq!(names, wanted);
        let size = fs::metadata(folder.path().join("audit.log"))
            .expect("log")
            .len();
        assert!(size < 2 * LONGEST as u64, "{size}");
    }
}
