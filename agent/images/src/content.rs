//! Compressed layers on the disk, by digest, and those that are still arriving.
//!
//! A file gets its final name only when its digest was seen to be right. Configurations and
//! manifests are not here but in the database, so that one transaction makes an image.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::{Digest, StoreError};

/// How long the part of a layer that nobody took up again is kept.
const STALE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The extension of what is still arriving.
const PARTIAL: &str = "partial";

#[derive(Debug)]
pub(crate) struct Content {
    blobs: PathBuf,
    ingest: PathBuf,
    next: AtomicU64,
}

impl Content {
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        let content = Self {
            blobs: root.join("blobs/sha256"),
            ingest: root.join("ingest"),
            next: AtomicU64::new(0),
        };
        for path in [&content.blobs, &content.ingest] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(StoreError::content("create", path))?;
        }
        content.sweep_ingest()?;
        Ok(content)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.blobs
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// Whether any of a blob is here, if only as the part that has arrived.
    pub(crate) fn has_some(&self, digest: &Digest) -> bool {
        self.has(digest) || self.partial_path(digest).is_file()
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.ingest.join(digest.hex()).with_extension(PARTIAL)
    }

    /// Opens what has arrived of a blob, to be read and then written on.
    pub(crate) fn open_partial(&self, digest: &Digest) -> Result<(File, PathBuf), StoreError> {
        let path = self.partial_path(digest);
        // Content that lost its unpacked layer is taken as having arrived completely.
        match fs::rename(self.blob_path(digest), &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(StoreError::content("move", &path))?,
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::content("open", &path))?;
        Ok((file, path))
    }

    /// Makes a file for content whose digest is not known yet.
    pub(crate) fn scratch(&self) -> Result<(File, Scratch), StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.ingest.join(format!("{number}.scratch"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::content("create", &path))?;
        Ok((file, Scratch { path }))
    }

    /// Gives a complete file its name.
    pub(crate) fn commit(&self, path: &Path, digest: &Digest) -> Result<(), StoreError> {
        let target = self.blob_path(digest);
        fs::rename(path, &target).map_err(StoreError::content("commit", &target))
    }

    /// Removes a blob and returns its size; one that does not exist is no error.
    pub(crate) fn remove(&self, digest: &Digest) -> Result<u64, StoreError> {
        let path = self.blob_path(digest);
        let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        remove_if_there(&path)?;
        Ok(size)
    }

    /// Removes what has arrived of blobs other than these, and returns its size.
    pub(crate) fn remove_partials(
        &self,
        is_wanted: impl Fn(&Digest) -> bool,
    ) -> Result<u64, StoreError> {
        let mut size = 0;
        for name in names(&self.ingest)? {
            let stem = name.strip_suffix(".partial").unwrap_or_default();
            let Ok(digest) = format!("sha256:{stem}").parse() else {
                continue;
            };
            if !is_wanted(&digest) {
                let path = self.ingest.join(&name);
                size += fs::metadata(&path).map_or(0, |metadata| metadata.len());
                remove_if_there(&path)?;
            }
        }
        Ok(size)
    }

    pub(crate) fn list(&self) -> Result<Vec<Digest>, StoreError> {
        let names = names(&self.blobs)?;
        let digests = names.iter().map(|hex| format!("sha256:{hex}").parse());
        Ok(digests.filter_map(Result::ok).collect())
    }

    fn sweep_ingest(&self) -> Result<(), StoreError> {
        for name in names(&self.ingest)? {
            let path = self.ingest.join(&name);
            let is_partial = path
                .extension()
                .is_some_and(|extension| extension == PARTIAL);
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let age = modified.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
            if !is_partial || age.is_ok_and(|age| age > STALE) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }
}

/// A file that is removed unless it was renamed away.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: the next start sweeps the directory.
        if let Err(error) = remove_if_there(&self.path) {
            tracing::warn!(%error, "a scratch file stays behind");
        }
    }
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(StoreError::content("remove", path)),
    }
}

fn names(directory: &Path) -> Result<Vec<String>, StoreError> {
    let fail = || StoreError::content("list", directory);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail())? {
        names.extend(entry.map_err(fail())?.file_name().into_string());
    }
    Ok(names)
}
