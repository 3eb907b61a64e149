//! An archive on its way in: every member in a file of our own, none of them under the stranger's name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use berth_archive::{EntryKind, TarError, TarReader};

use super::LoadError;
use crate::compression;
use crate::content::{self, Scratch};
use crate::{Digest, StoreError};

/// Members of an archive: images have at most some hundreds.
const MAX_MEMBERS: usize = 20_000;

/// The longest path, as the kernel's.
const MAX_PATH: usize = 4096;

/// The longest list or configuration.
const MAX_TEXT: u64 = 4 << 20;

/// Symbolic links that lead to one another.
const MAX_LINKS: usize = 16;

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

/// The members of an archive. Their files go when this is dropped.
#[derive(Debug)]
pub(super) struct Spool {
    members: HashMap<String, Member>,
}

#[derive(Debug)]
enum Member {
    File(Scratch),
    /// The path that it leads to.
    Link(String),
}

/// Some content of an archive, by its path there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) path: String,
    /// What its list calls it, where that does.
    pub(super) media_type: Option<String>,
    /// What it must be, where the list says so.
    pub(super) digest: Option<Digest>,
}

impl Spool {
    /// Takes everything from an archive.
    pub(super) fn fill(
        store: &content::Content,
        reader: impl Read + Send,
    ) -> Result<Self, LoadError> {
        let reader = BufReader::with_capacity(BUFFER, reader);
        let plain = compression::decompress(reader).map_err(LoadError::Read)?;
        let mut tar = TarReader::new(BufReader::with_capacity(BUFFER, plain));
        let mut members = HashMap::new();
        while let Some(entry) = tar.next().map_err(LoadError::Archive)? {
            let path = path_of(&entry.path)?;
            let fault = |fault| LoadError::Member {
                path: path.clone(),
                fault,
            };
            let member = match entry.kind {
                EntryKind::Directory => continue,
                EntryKind::File { sparse: None } => {
                    let (mut file, scratch) = store.scratch()?;
                    let copied = tar.copy(entry.size, &mut file);
                    copied.map_err(|error| failed(error, scratch.path()))?;
                    Member::File(scratch)
                }
                EntryKind::Symlink => Member::Link(
                    beside(&path, &path_text(&entry.link)?)
                        .ok_or_else(|| fault("leads out of the archive"))?,
                ),
                EntryKind::HardLink => Member::Link(path_of(&entry.link)?),
                _ => return Err(fault("is neither a file nor a folder")),
            };
            if members.len() >= MAX_MEMBERS {
                return Err(LoadError::TooMany { what: "members" });
            }
            members.insert(path, member);
        }
        Ok(Self { members })
    }

    /// Opens a member at its beginning.
    pub(super) fn open(&self, path: &str) -> Result<Option<(File, &Path)>, LoadError> {
        let mut name = path.to_owned();
        for _hop in 0..MAX_LINKS {
            match self.members.get(&name) {
                Some(Member::File(scratch)) => {
                    let path = scratch.path();
                    // Opened only now: an archive may have more members than this process may open.
                    let file = File::open(path).map_err(StoreError::content("open", path))?;
                    return Ok(Some((file, path)));
                }
                Some(Member::Link(target)) => name.clone_from(target),
                None => return Ok(None),
            }
        }
        Err(LoadError::Member {
            path: path.to_owned(),
            fault: "is a link without an end",
        })
    }

    /// Reads a list or a configuration; nothing when it is not there.
    pub(super) fn text(&self, path: &str) -> Result<Option<Vec<u8>>, LoadError> {
        let path = clean(path);
        let Some((file, place)) = self.open(&path)? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        file.take(MAX_TEXT + 1)
            .read_to_end(&mut text)
            .map_err(StoreError::content("read", place))?;
        if text.len() as u64 > MAX_TEXT {
            return Err(LoadError::Member {
                path,
                fault: "is too long",
            });
        }
        Ok(Some(text))
    }

    /// Reads a list or a configuration that must be there.
    pub(super) fn needed(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        self.text(path)?.ok_or_else(|| LoadError::Missing {
            path: path.to_owned(),
        })
    }
}

/// Tells a full disk from a broken archive.
fn failed(error: TarError, path: &Path) -> LoadError {
    match error {
        TarError::Write(source) => StoreError::content("write", path)(source).into(),
        error => LoadError::Archive(error),
    }
}

fn path_of(bytes: &[u8]) -> Result<String, LoadError> {
    Ok(clean(&path_text(bytes)?))
}

fn path_text(bytes: &[u8]) -> Result<String, LoadError> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    if bytes.len() > MAX_PATH {
        return Err(LoadError::Member {
            path: text.chars().take(100).collect(),
            fault: "has too long a path",
        });
    }
    Ok(text)
}

/// Takes `.` and slashes at the ends away. `..` stays, and names nothing.
pub(super) fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}

/// Returns where a link leads, by text alone; nothing when that is outside.
fn beside(path: &str, target: &str) -> Option<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => folder.split('/').filter(|part| !part.is_empty()).collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_by_text_and_never_lead_out() {
        assert_eq!(
            beside("a/layer.tar", "../b/layer.tar").unwrap(),
            "b/layer.tar"
        );
        assert_eq!(beside("x", "./y").unwrap(), "y");
        assert_eq!(beside("a/b", "/c").unwrap(), "c");
        assert_eq!(beside("a/b", "../../etc/passwd"), None);
        assert_eq!(clean("./manifest.json"), "manifest.json");
        assert_eq!(clean("/a//b/"), "a/b");
    }
}
