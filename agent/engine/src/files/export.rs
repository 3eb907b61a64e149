//! The whole root file system of a container as an archive, without what is mounted in it.

use std::sync::Arc;

use super::chunks::{ArchiveChunks, produce};
use super::error::FilesError;
use super::pack::Packer;
use crate::Engine;

impl Engine {
    /// Returns the root file system as an archive whose names are relative to it.
    ///
    /// # Errors
    /// When there is no such container. What fails later ends the archive.
    pub async fn export(self: &Arc<Self>, name: &str) -> Result<ArchiveChunks, FilesError> {
        let container = self.containers.find(name)?;
        let place = self.copies.place().await;
        let view = Arc::new(self.root_view(&container).await?);
        let chunks = produce(view, place, |view, writer| {
            let root = view.root().root();
            let root = root.map_err(|e| FilesError::read("", e))?;
            let mut packer = Packer::new(writer, false);
            packer.tree(root, b"")?;
            packer.finish()
        })?;
        self.container_event(&container, "export");
        Ok(chunks)
    }
}
