//! Describes one path of a container.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_agent_sys::root_dir::{Attributes, NodeKind, RootDir};

use super::error::{FilesError, is_missing};
use super::look::{Found, follow, look};
use super::path::Asked;
use super::places::on_a_thread;
use super::running::Part;
use crate::Engine;

/// What a path of a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStat {
    /// Last part of the path; `.` or `/` when it ends in that.
    pub name: OsString,
    /// Size in bytes.
    pub size: u64,
    /// As Go's `os.FileMode`: permission bits, and the kind in the upper bits.
    pub mode: u32,
    /// Time of the last change.
    pub modified: SystemTime,
    /// Where a link leads in the end, as a path of the container; nothing: no link.
    pub link_target: Option<OsString>,
}

impl Engine {
    /// Describes what a path of a container is; a link is described itself.
    ///
    /// # Errors
    /// When there is no such container or path.
    pub async fn stat_path(
        self: &Arc<Self>,
        name: &str,
        path: &str,
    ) -> Result<PathStat, FilesError> {
        let container = self.containers.find(name)?;
        let leave = self.copies.look().await;
        let opening = self.opening(&container, Part::Everything).await?;
        let (name, text) = (name.to_owned(), path.to_owned());
        let work = on_a_thread(move || {
            let _leave = leave;
            let view = opening.open()?;
            let asked = Asked::parse(&text);
            let found =
                look(view.root(), &asked).map_err(|source| missing(&name, &text, source))?;
            describe(view.root(), &asked, &found).map_err(|e| FilesError::read(&asked.path, e))
        })?;
        work.await
    }
}

/// Returns the error for a path that cannot be looked at.
pub(super) fn missing(container: &str, path: &str, source: std::io::Error) -> FilesError {
    if is_missing(&source) {
        return FilesError::NotFound {
            path: path.to_owned(),
            container: container.to_owned(),
        };
    }
    if source.kind() == std::io::ErrorKind::NotADirectory {
        return FilesError::NotDirectoryAt {
            path: path.to_owned(),
        };
    }
    FilesError::read(path, source)
}

pub(super) fn describe(root: &RootDir, asked: &Asked, found: &Found) -> std::io::Result<PathStat> {
    let (attributes, link_target) = match found {
        Found::Directory(directory) => (directory.own_attributes()?, None),
        Found::Other { attributes, .. } if attributes.kind == NodeKind::Symlink => {
            let target = std::path::Path::new("/").join(follow(root, &asked.path)?);
            (*attributes, Some(target.into_os_string()))
        }
        Found::Other { attributes, .. } => (*attributes, None),
    };
    Ok(PathStat {
        name: asked.base().into_os_string(),
        size: attributes.size,
        mode: go_mode(&attributes),
        modified: SystemTime::UNIX_EPOCH + attributes.modified.min(LATEST),
        link_target,
    })
}

/// The year 9999, beyond which no calendar of a client goes.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// Returns kind and permissions in Go's numbers (`os.FileMode`).
fn go_mode(attributes: &Attributes) -> u32 {
    let kind = match attributes.kind {
        NodeKind::File => 0,
        NodeKind::Directory => 1 << 31,
        NodeKind::Symlink => 1 << 27,
        NodeKind::BlockDevice => 1 << 26,
        NodeKind::CharacterDevice => 1 << 26 | 1 << 21,
        NodeKind::Fifo => 1 << 25,
        NodeKind::Socket => 1 << 24,
    };
    let special = [(0o4000, 23), (0o2000, 22), (0o1000, 20)]
        .iter()
        .filter(|(bit, _)| attributes.mode & bit != 0)
        .fold(0, |sum, (_, go)| sum | 1 << go);
    kind | special | attributes.mode & 0o777
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_in_gos_numbers() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let root = RootDir::open(folder.path()).expect("root");
        let top = root.root().expect("root");
        top.make_dir("d".as_ref(), 0o755).expect("directory");
        top.chmod("d".as_ref(), 0o1755).expect("mode");
        top.symlink("l".as_ref(), "d".as_ref()).expect("link");
        top.create_file("f".as_ref(), 0o644).expect("file");
        top.chmod("f".as_ref(), 0o6711).expect("mode");
        let mode = |name: &str| {
            let asked = Asked::parse(name);
            let found = look(&root, &asked).expect("found");
            describe(&root, &asked, &found).expect("described").mode
        };
        assert_eq!(mode("d"), 0x8010_01ed);
        assert_eq!(mode("l"), 0x0800_01ff);
        assert_eq!(mode("f"), 0x00c0_01c9);
    }
}
