//! A filesystem above the layers of a stage, to be changed by the builder itself.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use berth_agent_images::LayerSource;
use berth_agent_snapshots::{LayerId, Prepared, Snapshotter};
use berth_agent_sys::root_dir::RootDir;
use tokio::task::spawn_blocking;

use crate::build_error::BuildErrorKind;

/// What a step has changed; removed when this is dropped, but for what moved into a layer.
pub(super) struct Change {
    snapshots: Arc<dyn Snapshotter>,
    key: String,
    prepared: Prepared,
}

// === impl Change ===

impl Change {
    /// Mounts the layers, lets `work` change what it sees, and unmounts them.
    pub(super) async fn make(
        snapshots: &Arc<dyn Snapshotter>,
        layers: &[LayerId],
        work: impl FnOnce(&RootDir) -> Result<(), BuildErrorKind> + Send + 'static,
    ) -> Result<Self, BuildErrorKind> {
        let snapshots = Arc::clone(snapshots);
        let layers = layers.to_vec();
        spawn_blocking(move || {
            let key = format!("build-{:032x}", rand::random::<u128>());
            let prepared = snapshots.prepare(&key, &layers)?;
            let change = Self {
                snapshots,
                key,
                prepared,
            };
            let mounted = change.snapshots.mount_temporarily(&change.prepared)?;
            work(mounted.root())?;
            drop(mounted);
            Ok(change)
        })
        .await?
    }

    pub(super) fn layer(&self) -> LayerSource {
        layer_of(&self.prepared.upper)
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if let Err(error) = self.snapshots.remove(&self.key) {
            // The next start of the agent removes it.
            tracing::warn!(key = %self.key, %error, "what a build step wrote could not be removed");
        }
    }
}

/// What a step's changes are as a layer: none if it changed nothing.
pub(super) fn layer_of(upper: &Path) -> LayerSource {
    let is_empty = fs::read_dir(upper).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty {
        LayerSource::Nothing
    } else {
        LayerSource::Move(upper.to_owned())
    }
}
