//! The whole root file system of a container as an archive, without what is mounted in it.

use std::sync::Arc;

use super::chunks::{ArchiveChunks, ChunkWriter, produce};
use super::error::FilesError;
use super::pack::Packer;
use super::running::Part;
use super::view::View;
use crate::Engine;

impl Engine {
    /// Returns the root file system as an archive whose names are relative to it.
    ///
    /// # Errors
    /// When there is no such container. What fails later ends the archive.
    pub async fn export(self: &Arc<Self>, name: &str) -> Result<ArchiveChunks, FilesError> {
        let container = self.containers.find(name)?;
        let place = self.copies.place().await;
        let opening = self.opening(&container, Part::RootOnly).await?;
        let begin = move || {
            let write = |view: &View, writer: ChunkWriter| {
                let root = view.root().root();
                let root = root.map_err(|e| FilesError::read("", e))?;
                let mut packer = Packer::new(writer, false);
                packer.tree(root, b"")?;
                packer.finish()
            };
            Ok((opening.open()?, (), write))
        };
        let ((), chunks) = produce(place, begin).await?;
        self.container_event(&container, "export");
        Ok(chunks)
    }
}
