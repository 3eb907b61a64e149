//! This computer and hosts, seen alike.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use tokio::task::spawn_blocking;

use super::SideError;
use crate::sftp::{Attributes, Handle, Open, Sftp};

/// The computer that an end of a copy is on.
#[derive(Clone, Copy, Debug)]
pub enum Side<'a> {
    /// This one.
    Local,
    /// A host.
    Remote {
        /// What people call it.
        name: &'a str,
        /// Its files.
        files: &'a Sftp,
    },
}

/// A file that is open on one side.
#[derive(Clone, Debug)]
pub(super) enum Opened {
    Local(Arc<fs::File>),
    Remote(Handle),
}

type Result<T> = std::result::Result<T, SideError>;

impl<'a> Side<'a> {
    /// Returns a path as people write it.
    pub(super) fn place(&self, path: &[u8]) -> String {
        // Control characters of a name must not reach a terminal.
        let text = String::from_utf8_lossy(path);
        let text: String = text
            .chars()
            .flat_map(|letter| {
                let shown = if letter.is_control() {
                    letter.escape_default().to_string()
                } else {
                    letter.to_string()
                };
                shown.chars().collect::<Vec<_>>()
            })
            .collect();
        match self {
            Self::Local => text,
            Self::Remote { name, .. } => format!("{name}:{text}"),
        }
    }

    pub(super) fn is_same(&self, other: &Side<'_>) -> bool {
        match (self, other) {
            (Self::Local, Side::Local) => true,
            (Self::Remote { name, .. }, Side::Remote { name: other, .. }) => name == other,
            _ => false,
        }
    }

    pub(super) fn files(&self) -> Option<&'a Sftp> {
        match self {
            Self::Local => None,
            Self::Remote { files, .. } => Some(files),
        }
    }

    /// Returns what a path is, following links; nothing when there is nothing.
    pub(super) async fn look(&self, path: &[u8]) -> Result<Option<Attributes>> {
        let looked = match self.files() {
            Some(files) => files.stat(path).await.map_err(SideError::from),
            None => {
                let path = owned(path);
                blocking(move || Ok(attributes(&fs::metadata(path)?))).await
            }
        };
        match looked {
            Ok(attributes) => Ok(Some(attributes)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        match self.files() {
            Some(files) => Ok(files.real_path(path).await?),
            None => {
                let path = owned(path);
                let real = blocking(move || fs::canonicalize(path)).await?;
                Ok(real.into_os_string().into_vec())
            }
        }
    }

    /// Returns the names in a directory; each is one step.
    pub(super) async fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        match self.files() {
            Some(files) => Ok(files.list(path).await?),
            None => {
                let path = owned(path);
                blocking(move || {
                    let mut names = Vec::new();
                    for entry in fs::read_dir(path)? {
                        names.push(entry?.file_name().into_vec());
                    }
                    names.sort();
                    Ok(names)
                })
                .await
            }
        }
    }

    /// Makes a directory that its owner can fill.
    pub(super) async fn mkdir(&self, path: &[u8], mode: u32) -> Result<()> {
        let mode = (mode & 0o777) | 0o700;
        match self.files() {
            Some(files) => Ok(files.mkdir(path, mode).await?),
            None => {
                let path = owned(path);
                blocking(move || fs::DirBuilder::new().mode(mode).create(path)).await
            }
        }
    }

    pub(super) async fn open(&self, path: &[u8], how: Open, mode: u32) -> Result<Opened> {
        match self.files() {
            Some(files) => Ok(Opened::Remote(files.open(path, how, mode & 0o777).await?)),
            None => {
                let path = owned(path);
                let file = blocking(move || {
                    let mut options = fs::OpenOptions::new();
                    match how {
                        Open::Read => options.read(true),
                        Open::New => options.write(true).create_new(true),
                        Open::Overwrite => options.write(true).create(true).truncate(true),
                    };
                    options.mode(mode & 0o777).open(path)
                });
                Ok(Opened::Local(Arc::new(file.await?)))
            }
        }
    }

    /// Closes a file that was written; some failures only show now.
    pub(super) async fn close(&self, opened: Opened) -> Result<()> {
        match (opened, self.files()) {
            (Opened::Remote(handle), Some(files)) => Ok(files.close(handle).await?),
            // What cannot be written to this computer's disk was said by each write.
            _ => Ok(()),
        }
    }

    pub(super) async fn remove(&self, path: &[u8]) -> Result<()> {
        match self.files() {
            Some(files) => Ok(files.remove(path).await?),
            None => {
                let path = owned(path);
                blocking(move || fs::remove_file(path)).await
            }
        }
    }

    pub(super) async fn replace(&self, from: &[u8], to: &[u8]) -> Result<()> {
        match self.files() {
            Some(files) => Ok(files.replace(from, to).await?),
            None => {
                let (from, to) = (owned(from), owned(to));
                blocking(move || fs::rename(from, to)).await
            }
        }
    }

    /// Sets permissions, times and owner where they are given.
    pub(super) async fn set(&self, path: &[u8], wanted: Attributes) -> Result<()> {
        match self.files() {
            Some(files) => Ok(files.set(path, &wanted).await?),
            None => {
                let path = owned(path);
                blocking(move || set_local(Path::new(&path), &wanted)).await
            }
        }
    }
}

fn set_local(path: &Path, wanted: &Attributes) -> io::Result<()> {
    if let Some((user, group)) = wanted.owner {
        std::os::unix::fs::chown(path, Some(user), Some(group))?;
    }
    if let Some(mode) = wanted.mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))?;
    }
    if let Some((read, written)) = wanted.times {
        let moment = |seconds: u32| TimeSpec::new(seconds.into(), 0);
        utimensat(
            AT_FDCWD,
            path,
            &moment(read),
            &moment(written),
            UtimensatFlags::FollowSymlink,
        )?;
    }
    Ok(())
}

fn attributes(found: &fs::Metadata) -> Attributes {
    let seconds = |time: i64| u32::try_from(time).unwrap_or(0);
    Attributes {
        size: Some(found.len()),
        owner: Some((found.uid(), found.gid())),
        mode: Some(found.mode()),
        times: Some((seconds(found.atime()), seconds(found.mtime()))),
    }
}

fn owned(path: &[u8]) -> OsString {
    OsStr::from_bytes(path).to_owned()
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    match spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(broken) => Err(io::Error::other(broken).into()),
    }
}
