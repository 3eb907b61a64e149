//! Reading a record's file, or what stands in for it when it is torn.
//!
//! Our own writes are atomic. Files are torn all the same: docker-machine deletes `config.json`
//! before it renames the new one into place, disks fill up under other programs, people edit. So
//! a copy of what was written last lies beside each file, and is only looked at when the file
//! itself is of no use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files;

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

/// Returns what could stand in for a file, the best first.
fn copies(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // docker-machine's new file, when it was killed after it had deleted the old one.
    let prefix = format!("{name}.tmp");
    let mut left: Vec<(SystemTime, PathBuf)> = path
        .parent()
        .and_then(|folder| fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    left.sort();
    let left = left.into_iter().rev().map(|(_, path)| path);
    left.chain([files::copy_of(path)]).collect()
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
