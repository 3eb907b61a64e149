//! Filling a new volume with what an image has at its place.

use std::io;
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::RootDir;

use super::Volumes;
use crate::CopyUpError;
use crate::copy::{self, CopyFailure};
use crate::record::{Stage, mountpoint};

// === impl Volumes ===

impl Volumes {
    /// Fills the volume with what the image has at `path`, if the volume is empty.
    ///
    /// Links in `path` are followed inside the image's root. The volume's directory gets the owner and
    /// mode of the image's. An image without a directory there changes nothing.
    ///
    /// # Errors
    ///
    /// Returns an error when there is no such volume or a file cannot be copied, because the disk is
    /// full for example; the volume is empty then.
    pub fn copy_up(
        &self,
        name: &str,
        image_root: &RootDir,
        path: &Path,
    ) -> Result<(), CopyUpError> {
        let failed = |path: PathBuf| {
            let name = name.to_owned();
            move |source| CopyUpError::Copy { name, path, source }
        };
        let source = match image_root.open_dir(path) {
            Ok(source) => source,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(failed(path.to_owned())(error)),
        };
        let _changing = self.shared.lock();
        let state_error = |source| CopyUpError::State {
            name: name.to_owned(),
            source,
        };
        let record = self.shared.record(name).map_err(state_error)?;
        let Some(record) = record else {
            return Err(CopyUpError::NotFound {
                name: name.to_owned(),
            });
        };
        let here = || failed(PathBuf::from("."));
        let target = RootDir::open(&mountpoint(&self.shared.root, name)).map_err(here())?;
        let top = target.root().map_err(here())?;
        if !top.names().map_err(here())?.is_empty() {
            return Ok(());
        }
        self.shared
            .set_stage(name, record.clone(), Stage::Filling)
            .map_err(state_error)?;
        let copied = copy::tree(&source, &target);
        // What is mounted there is somebody's own, and others may have written to it meanwhile.
        if copied.is_err() && record.options.is_empty() {
            copy::empty(&top).map_err(here())?;
        }
        self.shared
            .set_stage(name, record, Stage::Ready)
            .map_err(state_error)?;
        copied.map_err(|CopyFailure { path, source }| failed(path)(source))
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
