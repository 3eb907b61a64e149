//! The store of one machine's images.

mod build;
mod build_error;
mod chain;
mod collect;
mod history;
mod lookup;
mod mend;
mod remove;
mod settle;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_snapshots::{LayerId, Snapshotter};
use berth_agent_state::State;
use tokio::sync::Semaphore;

use crate::content::Content;
use crate::leases::{KeyedLocks, Leases};
use crate::records::LayerRecord;
use crate::registry::InsecureRegistries;
use crate::{ErrorKind, StoreError};

pub use build::{CommitRequest, ImportRequest, LayerSource};
pub use build_error::{CommitError, ImportError};
pub use history::HistoryStep;
pub use lookup::LookupError;
pub(crate) use lookup::resolve;
pub use remove::RemoveError;

/// How many layers arrive at the same time, in all pulls together. Docker's number.
const DOWNLOADS: usize = 3;

/// How many root filesystems arrive at the same time. Each has a thread of its own, as its sender may take
/// for ever; more wait for their turn.
const ARRIVALS: usize = 16;

/// Where images are kept and how registries are reached.
#[derive(Debug, Clone)]
pub struct ImagesConfig {
    /// The directory for compressed content, `<data root>/content`.
    pub root: PathBuf,
    /// The agent's database.
    pub state: State,
    /// Where layers are unpacked.
    pub snapshotter: Arc<dyn Snapshotter>,
    /// Registries (`host[:port]` or `network/bits`) that may be spoken to without trusted TLS.
    pub insecure_registries: Vec<String>,
    /// Base addresses that are asked before Docker's own registry.
    pub mirrors: Vec<String>,
}

/// The images of this machine; clones share them.
///
/// # Durability
///
/// A pull does not wait until hundreds of megabytes have reached the disk. Its records are durable
/// when it returns, and name the present boot for every new layer; a thread then has the filesystem
/// write everything back (`syncfs`) and takes the marks away. A killed agent loses nothing by that,
/// for the kernel keeps what was written. After a power cut, layers whose mark names another boot
/// may be torn: opening the store drops them, unpacks them again where their compressed form is
/// whole (its digest tells), and otherwise removes the images that need them. So a layer that is
/// referred to is never torn, and the price is that an image pulled within the last seconds before
/// a power cut may have to be pulled again.
#[derive(Clone)]
pub struct Images {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) content: Content,
    pub(crate) state: State,
    pub(crate) snapshotter: Arc<dyn Snapshotter>,
    pub(crate) insecure: InsecureRegistries,
    pub(crate) mirrors: Vec<String>,
    pub(crate) downloads: Semaphore,
    /// Turns of archives that arrive as slowly as their senders like.
    arrivals: Arc<Semaphore>,
    pub(crate) leases: Leases,
    pub(crate) locks: KeyedLocks,
    settling: settle::Settling,
}

/// The reasons why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directories or the database cannot be used.
    #[error("cannot open the image store")]
    Store(#[source] StoreError),
}

// === impl Images ===

impl Images {
    /// Opens the store, and removes or mends what a killed agent or a power cut left.
    ///
    /// # Errors
    ///
    /// Fails when the directories or the database cannot be used.
    pub fn open(config: ImagesConfig) -> Result<Self, OpenError> {
        let inner = Inner {
            content: Content::open(&config.root).map_err(OpenError::Store)?,
            state: config.state,
            snapshotter: config.snapshotter,
            insecure: InsecureRegistries::new(&config.insecure_registries),
            mirrors: config.mirrors,
            downloads: Semaphore::new(DOWNLOADS),
            arrivals: Arc::new(Semaphore::new(ARRIVALS)),
            leases: Leases::default(),
            locks: KeyedLocks::default(),
            settling: settle::Settling::default(),
        };
        inner.mend().map_err(OpenError::Store)?;
        inner.collect_again().map_err(OpenError::Store)?;
        let images = Self {
            inner: Arc::new(inner),
        };
        images.inner.settle_soon();
        Ok(images)
    }

    /// Waits until everything pulled or made so far has reached the disk. Blocks.
    pub fn wait_until_settled(&self) {
        self.inner.wait_until_settled();
    }

    /// Removes layers and content that no image, container or running pull needs.
    ///
    /// Returns how many bytes of compressed content went. Blocks while trees are deleted; may be
    /// interrupted at any time.
    ///
    /// # Errors
    ///
    /// Fails when the database cannot be read or something cannot be removed.
    pub fn gc(&self) -> Result<u64, StoreError> {
        self.inner.collect()
    }
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images")
            .field("content", &self.inner.content)
            .finish_non_exhaustive()
    }
}

impl OpenError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(source) => source.kind(),
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Returns the record of a layer that is here with its files.
    pub(crate) fn present_layer(&self, layer: &LayerId) -> Result<Option<LayerRecord>, StoreError> {
        let record = self
            .state
            .read(|reader| reader.get::<LayerRecord>(layer.as_str()))?;
        Ok(record.filter(|_record| self.snapshotter.has_layer(layer)))
    }

    /// Writes the record of a layer just committed.
    pub(crate) fn record_layer(
        &self,
        layer: &LayerId,
        record: LayerRecord,
    ) -> Result<(), StoreError> {
        Ok(self.state.write(|writer| {
            let mut merged = writer
                .get::<LayerRecord>(layer.as_str())?
                .unwrap_or_default();
            merged.size = record.size;
            merged.unsettled = record.unsettled;
            for blob in record.blobs {
                merged.add_blob(blob);
            }
            writer.put(layer.as_str(), &merged)
        })?)
    }
}

/// Runs what blocks where it may block.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(source) => Err(StoreError::Stopped { source }.into()),
    }
}
