//! Local files as ends of a copy.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::path::{base, ends_in_slash, evaluate, means_contents, says_folder, split};
use super::place::Side;
use crate::ui::quote;

/// How many links are followed to a target.
const MAX_LINKS: usize = 10;

/// A local path that cannot be copied from or to, in Docker's words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    #[error("lstat {}: {}", path.display(), no_number(source))]
    Look {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("invalid output path: directory {} does not exist", quote::quoted(.0))]
    NoFolder(String),
    #[error("invalid output path: {} must be a directory or a regular file: got a device", quote::quoted(.0))]
    Device(String),
    #[error("not a directory")]
    NotFolder,
    #[error("too many symlinks in {0}")]
    Links(String),
}

/// What is copied from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) is_folder: bool,
    /// What it is called in the archive.
    pub(crate) name: String,
}

/// Finds what is to be copied from here. Links before the last part are followed; the last one is
/// when that is asked, or the path ends in a slash.
pub(crate) fn source(path: &str, follow: bool) -> Result<Source, LocalError> {
    let look = |path: &str, source: io::Error| match source.kind() {
        io::ErrorKind::NotADirectory if says_folder(path) => LocalError::NotFolder,
        _ => LocalError::Look {
            path: PathBuf::from(path),
            source,
        },
    };
    let resolved = if follow || ends_in_slash(path) || means_contents(path) {
        let trimmed = path.trim_end_matches('.').trim_end_matches('/');
        let whole = if trimmed.is_empty() || !means_contents(path) {
            path
        } else {
            trimmed
        };
        evaluate(whole).map_err(|e| look(path, e))?
    } else {
        let (folder, name) = split(path);
        let folder = evaluate(&folder).map_err(|e| look(path, e))?;
        format!("{}/{name}", folder.trim_end_matches('/'))
    };
    let metadata = fs::symlink_metadata(&resolved).map_err(|e| look(path, e))?;
    if says_folder(path) && !metadata.is_dir() {
        return Err(LocalError::NotFolder);
    }
    Ok(Source {
        is_folder: metadata.is_dir(),
        name: base(path).to_owned(),
        path: PathBuf::from(resolved),
    })
}

/// Finds out what is at a target here. Links are followed, also to what does not exist yet.
pub(crate) fn target(path: &str) -> Result<Side, LocalError> {
    let mut at = path.to_owned();
    for _followed in 0..=MAX_LINKS {
        let metadata = match fs::symlink_metadata(&at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return missing(at),
            metadata => metadata.map_err(|source| LocalError::Look {
                path: PathBuf::from(&at),
                source,
            })?,
        };
        if !metadata.is_symlink() {
            return Ok(Side {
                is_folder: metadata.is_dir(),
                exists: true,
                path: at,
            });
        }
        let link = fs::read_link(&at).map_err(|source| LocalError::Look {
            path: PathBuf::from(&at),
            source,
        })?;
        let (parent, _name) = split(&at);
        at = Path::new(&parent).join(link).to_string_lossy().into_owned();
    }
    Err(LocalError::Links(path.to_owned()))
}

/// What does not exist is made, but not the folder that it is in.
fn missing(path: String) -> Result<Side, LocalError> {
    let (parent, _name) = split(path.trim_end_matches("/."));
    let metadata = fs::metadata(&parent).map_err(|source| LocalError::Look {
        path: PathBuf::from(&parent),
        source,
    })?;
    if !metadata.is_dir() {
        return Err(LocalError::NotFolder);
    }
    Ok(Side {
        path,
        ..Side::default()
    })
}

/// Refuses what nothing can be written to, before anything is asked of the agent.
pub(crate) fn check_output(path: &str) -> Result<(), LocalError> {
    let cleaned = super::path::clean(path);
    let (parent, _name) = split(&cleaned);
    if parent != "." && is_missing(fs::metadata(&parent)) {
        return Err(LocalError::NoFolder(parent));
    }
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_char_device() || found.file_type().is_block_device() => {
            Err(LocalError::Device(path.to_owned()))
        }
        _ => Ok(()),
    }
}

fn is_missing(found: io::Result<Metadata>) -> bool {
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Returns what the system says, without the number that Rust adds, in small letters as C's.
fn no_number(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn sources_are_found_through_links_as_asked() {
        let place = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        let at = |name: &str| root.join(name).to_string_lossy().into_owned();
        fs::create_dir_all(root.join("real/sub")).unwrap();
        fs::write(root.join("real/file"), "").unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink("real/file", root.join("to-file")).unwrap();
        let found = |path: &str, follow| {
            let found = source(&at(path), follow).unwrap();
            let path = found.path.strip_prefix(&root).unwrap().to_owned();
            (
                path.to_string_lossy().into_owned(),
                found.is_folder,
                found.name,
            )
        };
        let expect =
            |path: &str, is_folder, name: &str| (path.to_owned(), is_folder, name.to_owned());
        assert_eq!(found("link", false), expect("link", false, "link"));
        assert_eq!(found("link", true), expect("real", true, "link"));
        assert_eq!(found("link/", false), expect("real", true, "link"));
        assert_eq!(found("link/.", false), expect("real", true, "."));
        assert_eq!(found("link/sub", false), expect("real/sub", true, "sub"));
        assert_eq!(
            found("to-file", true),
            expect("real/file", false, "to-file")
        );
        let error = source(&at("none"), false).unwrap_err();
        let expected = format!("lstat {}: no such file or directory", at("none"));
        assert_eq!(error.to_string(), expected);
        for path in ["real/file/", "real/file/."] {
            let error = source(&at(path), false).unwrap_err();
            assert_eq!(error.to_string(), "not a directory", "{path}");
        }
    }

    #[test]
    fn targets_are_what_links_lead_to() {
        let place = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        let at = |name: &str| root.join(name).to_string_lossy().into_owned();
        fs::create_dir(root.join("dir")).unwrap();
        symlink("dir", root.join("link")).unwrap();
        symlink("dir/new", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let found = target(&at("link")).unwrap();
        assert_eq!(
            (found.path, found.exists, found.is_folder),
            (at("dir"), true, true)
        );
        let found = target(&at("dangling")).unwrap();
        assert_eq!((found.path, found.exists), (at("dir/new"), false));
        assert_eq!(target(&at("new/")).unwrap().path, at("new/"));
        target(&at("loop")).unwrap_err();
        target(&at("none/new")).unwrap_err();
        let error = check_output(&at("none/new")).unwrap_err();
        let expected = format!(
            "invalid output path: directory {:?} does not exist",
            at("none")
        );
        assert_eq!(error.to_string(), expected);
        check_output("/dev/null").unwrap_err();
        check_output(&at("new")).unwrap();
    }
}
