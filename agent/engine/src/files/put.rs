//! Unpacks an archive into a folder of a container.

use std::io::{BufRead as _, BufReader};
use std::sync::{Arc, PoisonError};

use berth_agent_images::{
    Compression, Live, UnpackError, UnpackOptions, Unpacked, Whiteouts, apply_tar, decompress,
};
use berth_agent_sys::root_dir::{Directory, RootDir};
use tokio::sync::mpsc;

use super::chunks::{ArchiveInput, CHUNK, CutOff, InputReader, WAITING};
use super::error::FilesError;
use super::path::Asked;
use super::places::on_a_thread;
use super::running::Part;
use super::stat::missing;
use super::view::View;
use crate::Engine;
use crate::create::rootfs::{UserQuery, in_root};

/// How an archive is unpacked into a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// An existing folder of the container.
    pub path: String,
    /// Refuse to replace a folder by something else, or the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// Everything belongs to the container's user, when it has one, instead of the owners in the
    /// archive (Docker's `copyUIDGID`).
    pub copy_owner: bool,
}

/// Where an archive goes, piece by piece.
pub type ArchiveSender = mpsc::Sender<ArchiveInput>;

/// Returns the two ends of an archive's way into a container.
#[must_use]
pub fn archive_input() -> (ArchiveSender, mpsc::Receiver<ArchiveInput>) {
    mpsc::channel(WAITING)
}

impl Engine {
    /// Unpacks an archive (plain or compressed) into a folder of a container. What was unpacked before
    /// a failure stays.
    ///
    /// # Errors
    /// When there is no such container or folder, it may not be written to, or the archive cannot be
    /// unpacked, for example because it ends without [`ArchiveInput::End`].
    ///
    /// # Cancel safety
    /// When the future is dropped the unpacking ends when `input`'s sender is gone.
    pub async fn put_archive(
        self: &Arc<Self>,
        name: &str,
        options: PutOptions,
        input: mpsc::Receiver<ArchiveInput>,
    ) -> Result<(), FilesError> {
        let container = self.containers.find(name)?;
        let place = self.copies.place().await;
        let opening = self.opening(&container, Part::Everything).await?;
        let user = container.with_record(|record| record.config.user.clone());
        let name = name.to_owned();
        let work = on_a_thread(move || {
            // Before the view, so that it is given back after it.
            let (place, cut_off) = (place, CutOff::default());
            let view = Arc::new(opening.open()?);
            let target = target(&view, &name, &options, &user)?;
            let reader = InputReader::new(input, Arc::clone(&view), place, Arc::clone(&cut_off));
            unpack(reader, view.root(), &target).map_err(|error| {
                let reason = cut_off
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                reason.unwrap_or(FilesError::Unpack(error))
            })
        })?;
        work.await?;
        self.container_event(&container, "extract-to-dir");
        Ok(())
    }
}

/// Finds where and how to unpack.
fn target(
    view: &View,
    container: &str,
    options: &PutOptions,
    user: &str,
) -> Result<UnpackOptions, FilesError> {
    let root = view.root();
    let asked = Asked::parse(&options.path);
    let fail = |source| missing(container, &options.path, source);
    let directory = match root.open_dir(&asked.path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(FilesError::NotDirectory);
        }
        directory => directory.map_err(fail)?,
    };
    check_writable(root, &directory, &options.path, fail)?;
    let owner = if options.copy_owner && !user.is_empty() {
        let query = UserQuery {
            user: user.to_owned(),
            groups: Vec::new(),
        };
        let resolved = in_root(root, &query).map_err(|source| FilesError::User {
            user: user.to_owned(),
            source,
        })?;
        Some((resolved.uid, resolved.gid))
    } else {
        None
    };
    Ok(UnpackOptions {
        whiteouts: Whiteouts::Ignored,
        owner,
        live: Some(Live {
            below: asked.path,
            keep_kinds: options.no_overwrite_dir_non_dir,
        }),
    })
}

fn check_writable(
    root: &RootDir,
    directory: &Directory,
    path: &str,
    fail: impl Fn(std::io::Error) -> FilesError,
) -> Result<(), FilesError> {
    if directory.is_kernels().map_err(&fail)? {
        return Err(FilesError::Kernels(path.to_owned()));
    }
    if !directory.is_read_only().map_err(&fail)? {
        return Ok(());
    }
    let top = root.root().and_then(|top| top.own_attributes());
    let own = directory.own_attributes().map_err(&fail)?;
    if top.map_err(&fail)?.identity.0 == own.identity.0 {
        return Err(FilesError::RootReadOnly);
    }
    Err(FilesError::VolumeReadOnly)
}

fn unpack(
    mut reader: InputReader,
    root: &RootDir,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let read = |source| UnpackError::Read { source };
    let start = reader.fill_buf().map_err(read)?;
    // Without compression the pieces are unpacked as they came, without being copied.
    let is_plain = start.len() >= 6 && Compression::detect(start) == Compression::None;
    let unpacked = if is_plain {
        apply_tar(&mut reader, root, options)?
    } else {
        let decoded = decompress(&mut reader).map_err(read)?;
        apply_tar(BufReader::with_capacity(CHUNK, decoded), root, options)?
    };
    // What follows the archive's end mark means nothing, but the client wants to be rid of it.
    loop {
        let n = reader.fill_buf().map_err(read)?.len();
        if n == 0 {
            return Ok(unpacked);
        }
        reader.consume(n);
    }
}
