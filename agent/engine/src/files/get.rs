//! Copies a file or folder out of a container, as an archive.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use super::chunks::{ArchiveChunks, ChunkWriter, produce};
use super::error::FilesError;
use super::look::{Found, follow, look};
use super::pack::Packer;
use super::path::Asked;
use super::running::Part;
use super::stat::{PathStat, describe, missing};
use super::view::View;
use crate::Engine;

/// How files are copied out of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetOptions {
    /// Copy what a link leads to, instead of the link.
    pub follow_link: bool,
    /// Leave the holes of files out; the receiver must know the form that GNU tar has for it.
    pub sparse: bool,
}

impl Engine {
    /// Describes a path and returns it as an archive. The members' names begin with the last part of
    /// the path, with `.` or `/` when it ends in that.
    ///
    /// # Errors
    /// When there is no such container or path. What fails later ends the archive.
    pub async fn get_archive(
        self: &Arc<Self>,
        name: &str,
        path: &str,
        options: GetOptions,
    ) -> Result<(PathStat, ArchiveChunks), FilesError> {
        let container = self.containers.find(name)?;
        let place = self.copies.place().await;
        let opening = self.opening(&container, Part::Everything).await?;
        let (name, text) = (name.to_owned(), path.to_owned());
        let begin = move || {
            let view = opening.open()?;
            let (stat, asked, found) = find(&view, &name, &text, options)?;
            let write =
                move |_: &View, writer: ChunkWriter| pack(&asked, found, writer, options.sparse);
            Ok((view, stat, write))
        };
        let (stat, chunks) = produce(place, begin).await?;
        self.container_event(&container, "archive-path");
        Ok((stat, chunks))
    }
}

fn find(
    view: &View,
    container: &str,
    text: &str,
    options: GetOptions,
) -> Result<(PathStat, Asked, Found), FilesError> {
    let root = view.root();
    let mut asked = Asked::parse(text);
    let fail = |source| missing(container, text, source);
    if options.follow_link {
        asked = asked.at(&follow(root, &asked.path).map_err(fail)?);
    }
    let found = look(root, &asked).map_err(fail)?;
    let stat = describe(root, &asked, &found).map_err(fail)?;
    Ok((stat, asked, found))
}

fn pack(asked: &Asked, found: Found, writer: ChunkWriter, sparse: bool) -> Result<(), FilesError> {
    let mut packer = Packer::new(writer, sparse);
    let base = asked.base();
    match found {
        Found::Directory(directory) => {
            let mut prefix = base.as_os_str().as_bytes().to_vec();
            if prefix != b"/" {
                prefix.push(b'/');
            }
            let is_kernels = directory
                .is_kernels()
                .map_err(|e| FilesError::read(&asked.path, e))?;
            if is_kernels {
                packer.empty(&directory, &prefix)?;
            } else {
                packer.tree(directory, &prefix)?;
            }
        }
        Found::Other { parent, name, .. } => packer.single(&parent, &name, base.as_os_str())?,
    }
    packer.finish()
}
