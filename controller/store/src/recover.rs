//! Reading a record's file, or what stands in for it when it is torn.
//!
//! Our own writes are atomic. Files are torn all the same: docker-machine deletes `config.json`
//! before it renames the new one into place, disks fill up under other programs, people edit. So
//! a copy of what was written last lies beside each file, and is only looked at when the file
//! itself is of no use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::files;

/// docker-machine has its new file beside the old one for far less than this.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// What was read.
#[derive(Debug)]
pub(crate) enum Read<T> {
    /// The file as it should be.
    Whole(T),
    /// What stands in for it, and what to tell about that.
    Copy(T, String),
    /// There is neither a file nor a copy.
    Absent,
}

/// A file is there but of no use, and so is every copy.
#[derive(Debug)]
pub(crate) enum Broken<E> {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It can be read but not understood.
    Senseless(E),
}

/// Reads the file at `path`, or the best copy of it.
pub(crate) fn read<T, E: std::error::Error>(
    path: &Path,
    parse: impl Fn(&[u8]) -> Result<T, E>,
    is_torn: impl Fn(&E) -> bool,
) -> Result<Read<T>, Broken<E>> {
    let problem = match fs::read(path) {
        Ok(text) => match parse(&text) {
            Ok(value) => return Ok(Read::Whole(value)),
            // What can be read but comes from the future is not damaged.
            Err(error) if !is_torn(&error) => return Err(Broken::Senseless(error)),
            Err(error) => Some(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Broken::Unreadable(error)),
    };
    for copy in copies(path) {
        let Some(value) = fs::read(&copy).ok().and_then(|text| parse(&text).ok()) else {
            continue;
        };
        let what = match &problem {
            Some(error) => format!("is damaged ({error})"),
            None => "is missing".to_owned(),
        };
        let told = format!(
            "{} {what}; {} stands in for it until the machine is saved again",
            path.display(),
            copy.display()
        );
        tracing::warn!("{told}");
        return Ok(Read::Copy(value, told));
    }
    problem.map_or(Ok(Read::Absent), |error| Err(Broken::Senseless(error)))
}

/// Returns what could stand in for a file, the newest first: docker-machine's new file is the best
/// when it was killed after it had deleted the old one, and the worst when it was left long ago.
fn copies(path: &Path) -> Vec<PathBuf> {
    let copy = files::copy_of(path);
    let mut found: Vec<(SystemTime, PathBuf)> = left(path)
        .chain([copy])
        .filter_map(|copy| Some((modified(&copy)?, copy)))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// Removes what docker-machine has left beside a file that was just written, for the holder of the
/// machine's lock. One that docker-machine may be about to put in its place stays.
pub(crate) fn forget_left(path: &Path) {
    let Some(written) = modified(path) else {
        return;
    };
    for copy in left(path) {
        let age = modified(&copy).and_then(|then| written.duration_since(then).ok());
        if age.is_some_and(|age| age > IN_FLIGHT) {
            // Best effort: a newer copy is preferred to it.
            let _ = fs::remove_file(copy);
        }
    }
}

/// Returns the unfinished files of docker-machine beside a file.
fn left(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{name}.tmp");
    let folder = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    let entries = folder.into_iter().flatten().flatten();
    entries
        .filter(move |entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<u8, serde_json::Error> {
        serde_json::from_slice(text)
    }

    fn read_it(path: &Path) -> Option<u8> {
        match read(path, parse, |_| true) {
            Ok(Read::Whole(value) | Read::Copy(value, _)) => Some(value),
            Ok(Read::Absent) | Err(_) => None,
        }
    }

    #[test]
    fn copies_stand_in_in_the_order_of_their_worth() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(matches!(read(&path, parse, |_| true), Ok(Read::Absent)));
        files::keep_copy(&path, b"1");
        fs::write(&path, "3").unwrap();
        assert!(matches!(read(&path, parse, |_| true), Ok(Read::Whole(3))));
        fs::write(&path, "").unwrap();
        assert!(matches!(read(&path, parse, |_| true), Ok(Read::Copy(1, _))));
        fs::write(folder.path().join("config.json.tmp123"), "2").unwrap();
        assert_eq!(read_it(&path), Some(2));
        fs::remove_file(&path).unwrap();
        assert_eq!(read_it(&path), Some(2));
        fs::write(folder.path().join("config.json.tmp123"), "{").unwrap();
        assert_eq!(read_it(&path), Some(1));
    }

    /// Makes a file as old as it says.
    fn age(path: &Path, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(then).unwrap();
    }

    #[test]
    fn file_left_long_ago_does_not_beat_a_newer_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let (stale, fresh) = (
            folder.path().join("config.json.tmp1"),
            folder.path().join("config.json.tmp2"),
        );
        fs::write(&stale, "1").unwrap();
        age(&stale, 3600);
        files::keep_copy(&path, b"2");
        fs::write(&path, "").unwrap();
        assert_eq!(read_it(&path), Some(2));
        fs::write(&path, "3").unwrap();
        fs::write(&fresh, "4").unwrap();
        forget_left(&path);
        assert!(!stale.exists(), "it is of no use any more");
        assert!(fresh.exists(), "somebody may be about to rename it");
    }

    #[test]
    fn torn_file_without_a_copy_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, "{").unwrap();
        assert!(matches!(
            read(&path, parse, |_| true),
            Err(Broken::Senseless(_))
        ));
    }
}
