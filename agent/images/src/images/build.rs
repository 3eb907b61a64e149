//! Making images here: from what containers and builds changed, and from root filesystem tars.

use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_agent_snapshots::{LayerId, Staging};
use berth_agent_sys::root_dir::RootDir;
use sha2::{Digest as _, Sha256};

use super::{CommitError, Images, ImportError, Inner, blocking};
use crate::leases::Lease;
use crate::pack::{Packed, pack_live_tree, pack_tree};
use crate::pipe::pipe;
use crate::records::{ImageRecord, LayerRecord, ReferenceRecord};
use crate::timestamp;
use crate::unpack::{UnpackError, UnpackOptions, Unpacked, Whiteouts, apply_tar};
use crate::{
    Digest, HistoryEntry, ImageConfiguration, ImageId, Platform, Reference, StoreError, compression,
};

/// Where the files of a new layer come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// No files: only the configuration changes.
    Nothing,
    /// The `upper` directory of a container filesystem, which is used up: it moves into the layer.
    Move(PathBuf),
    /// The `upper` directory of a container filesystem, which stays as it is and may be in use.
    Copy(PathBuf),
}

/// How to make an image out of another one.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The image to build upon; none for `scratch`.
    pub parent: Option<ImageId>,
    /// The files that are new.
    pub layer: LayerSource,
    /// The new configuration; its layers and history are filled in from the parent's, and the
    /// platform and time where they are empty.
    pub config: ImageConfiguration,
    /// The entry for the history; whether it is an empty layer is filled in, and the time.
    pub history: HistoryEntry,
    /// The name to give it, if any.
    pub reference: Option<Reference>,
}

/// How to make an image out of a root filesystem's tar.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    /// The name to give it, if any.
    pub reference: Option<Reference>,
    /// The configuration; its layers and history are filled in, and platform and time where empty.
    pub config: ImageConfiguration,
    /// The remark in the history.
    pub comment: String,
    /// What it is for, instead of this machine.
    pub platform: Option<Platform>,
}

impl Images {
    /// Makes an image out of a parent, new files and a configuration.
    ///
    /// A layer without any change is left out, as Docker does.
    ///
    /// # Errors
    ///
    /// Fails when the parent is gone or the files cannot be read or copied.
    pub async fn commit(&self, request: CommitRequest) -> Result<ImageId, CommitError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.commit(request)).await
    }

    /// Makes an image of a root filesystem's tar (plain, gzip, bzip2, xz or zstd).
    ///
    /// # Errors
    ///
    /// Fails when the tar cannot be read or unpacked, leaving nothing behind.
    pub async fn import_rootfs(
        &self,
        reader: Box<dyn Read + Send>,
        request: ImportRequest,
    ) -> Result<ImageId, ImportError> {
        let inner = Arc::clone(&self.inner);
        // It is never closed.
        let turn = Arc::clone(&inner.arrivals).acquire_owned().await.ok();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("import".to_owned());
        let started = thread.spawn(move || {
            let result = inner.import(reader, request);
            drop(turn);
            // Nobody may wait for it any more.
            let _ = sender.send(result);
        });
        let failed = |source| ImportError::Unpack(UnpackError::Read { source });
        started.map_err(failed)?;
        let ended = |_gone| failed(std::io::Error::other("the import was cut off"));
        let result = receiver.await.map_err(ended).flatten();
        berth_agent_sys::memory::release_free_memory();
        result
    }
}

/// A layer made here, kept by its lease until an image refers to it.
struct NewLayer {
    id: LayerId,
    _lease: Lease,
}

impl Inner {
    fn commit(self: &Arc<Self>, request: CommitRequest) -> Result<ImageId, CommitError> {
        let CommitRequest {
            parent,
            layer,
            mut config,
            mut history,
            reference,
        } = request;
        let reference = reference.map(Reference::with_default_tag);
        if reference.as_ref().is_some_and(|r| r.digest().is_some()) {
            return Err(CommitError::DigestAsTag);
        }
        let (inherited, _lease) = self.inherit(parent.as_ref())?;
        config.rootfs = inherited.rootfs;
        config.history = inherited.history;
        for (own, parents) in [
            (&mut config.architecture, inherited.architecture),
            (&mut config.os, inherited.os),
        ] {
            if own.is_empty() {
                *own = parents;
            }
        }
        config.variant = config.variant.or(inherited.variant);
        let new = match layer {
            LayerSource::Nothing => None,
            LayerSource::Move(upper) => {
                let staging = self
                    .snapshotter
                    .begin_layer_from(&upper)
                    .map_err(StoreError::from)?;
                self.adopt(staging)?
            }
            LayerSource::Copy(upper) => self.adopt(self.copy(&upper)?)?,
        };
        history.empty_layer = new.is_none();
        let id = self.write_image(config, history, new.as_ref(), parent, reference.as_ref())?;
        self.settle_soon();
        Ok(id)
    }

    fn import(
        self: &Arc<Self>,
        reader: Box<dyn Read + Send>,
        request: ImportRequest,
    ) -> Result<ImageId, ImportError> {
        let reference = request.reference.map(Reference::with_default_tag);
        if reference
            .as_ref()
            .is_some_and(|reference| reference.digest().is_some())
        {
            return Err(ImportError::DigestAsTag);
        }
        let staging = self.snapshotter.begin_layer().map_err(StoreError::from)?;
        unpack_rootfs(reader, staging.path()).map_err(ImportError::Unpack)?;
        let new = self.adopt(staging)?;
        let mut config = request.config;
        if let Some(platform) = request.platform {
            config.os = platform.os;
            config.architecture = platform.architecture;
            config.variant = Some(platform.variant).filter(|variant| !variant.is_empty());
        }
        config.rootfs = crate::RootFs::default();
        config.history = Vec::new();
        let history = HistoryEntry {
            comment: Some(request.comment).filter(|comment| !comment.is_empty()),
            empty_layer: new.is_none(),
            ..HistoryEntry::default()
        };
        let id = self.write_image(config, history, new.as_ref(), None, reference.as_ref())?;
        self.settle_soon();
        Ok(id)
    }

    /// Returns the parent's configuration, and keeps its layers from vanishing.
    fn inherit(
        &self,
        parent: Option<&ImageId>,
    ) -> Result<(ImageConfiguration, Option<Lease>), CommitError> {
        let Some(parent) = parent else {
            return Ok((ImageConfiguration::default(), None));
        };
        let read = || {
            let record = self
                .state
                .read(|reader| reader.get::<ImageRecord>(parent.as_str()))?;
            record.ok_or_else(|| CommitError::NoSuchParent { id: parent.clone() })
        };
        let keys = read()?.layers().into_iter().map(String::from);
        let lease = self.leases.take(keys);
        // Read again: it may have been removed before the lease.
        let config = serde_json::from_str(&read()?.config).map_err(CommitError::Configuration)?;
        Ok((config, Some(lease)))
    }

    /// Makes a layer of a staged tree; none when there is nothing in it.
    fn adopt(&self, staging: Staging) -> Result<Option<NewLayer>, CommitError> {
        let mut sum = Summing::default();
        let fail = StoreError::content("open", staging.path());
        let root = RootDir::open(staging.path()).map_err(fail)?;
        let Packed { size, n_entries } = pack_tree(&root, &mut sum)?;
        if n_entries == 0 {
            return Ok(None);
        }
        let id = LayerId::from_sha256(&sum.0.finalize().into());
        let lease = self.leases.take([&id]);
        self.snapshotter
            .commit_layer(staging, &id)
            .map_err(StoreError::from)?;
        let record = LayerRecord {
            size,
            blobs: Vec::new(),
            unsettled: Some(Self::unsettled_mark()),
        };
        self.record_layer(&id, record)?;
        Ok(Some(NewLayer { id, _lease: lease }))
    }

    /// Copies a tree that stays where it is.
    fn copy(&self, upper: &Path) -> Result<Staging, CommitError> {
        let staging = self.snapshotter.begin_layer().map_err(StoreError::from)?;
        let source = RootDir::open(upper).map_err(StoreError::content("open", upper))?;
        let target =
            RootDir::open(staging.path()).map_err(StoreError::content("open", staging.path()))?;
        let (mut writer, reader) = pipe();
        let options = UnpackOptions {
            whiteouts: Whiteouts::Overlay,
            owner: None,
            ..UnpackOptions::default()
        };
        let (packed, unpacked) = std::thread::scope(|scope| {
            let unpacker = scope.spawn(|| apply_tar(reader, &target, &options));
            let packed = pack_live_tree(&source, &mut writer);
            drop(writer);
            (packed, unpacker.join())
        });
        let unpacked = unpacked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // When unpacking fails, packing does too, for want of a reader; the cause is the former.
        unpacked.map_err(CommitError::Copy)?;
        packed?;
        Ok(staging)
    }

    fn write_image(
        &self,
        mut config: ImageConfiguration,
        mut history: HistoryEntry,
        layer: Option<&NewLayer>,
        parent: Option<ImageId>,
        reference: Option<&Reference>,
    ) -> Result<ImageId, CommitError> {
        let now = timestamp::now();
        config.created.get_or_insert_with(|| now.clone());
        history.created.get_or_insert(now);
        config.history.push(history);
        config
            .rootfs
            .diff_ids
            .extend(layer.map(|layer| layer.id.clone()));
        let host = Platform::host();
        if config.os.is_empty() {
            config.os = host.os;
        }
        if config.architecture.is_empty() {
            config.architecture = host.architecture;
        }
        let text = serde_json::to_string(&config).map_err(CommitError::Configuration)?;
        let id = ImageId::new(Digest::of(text.as_bytes()));
        self.state.write(|writer| {
            if let Some(parent) = &parent
                && writer.get::<ImageRecord>(parent.as_str())?.is_none()
            {
                return Err(CommitError::NoSuchParent { id: parent.clone() });
            }
            let record = ImageRecord {
                config: text,
                manifest: None,
                parent,
            };
            // The same image made again keeps what is known about it.
            writer.insert(id.as_str(), &record)?;
            if let Some(reference) = reference {
                writer.put(
                    &reference.to_string(),
                    &ReferenceRecord { image: id.clone() },
                )?;
            }
            Ok(())
        })?;
        Ok(id)
    }
}

/// Unpacks an archive of any compression, decompressing on a thread of its own.
fn unpack_rootfs(reader: Box<dyn Read + Send>, tree: &Path) -> Result<Unpacked, UnpackError> {
    let root = RootDir::open(tree).map_err(|source| UnpackError::entry(tree, source))?;
    let (mut writer, pipe_reader) = pipe();
    let options = UnpackOptions {
        whiteouts: Whiteouts::Overlay,
        owner: None,
        ..UnpackOptions::default()
    };
    let (read, unpacked) = std::thread::scope(|scope| {
        let unpacker = scope.spawn(|| apply_tar(pipe_reader, &root, &options));
        let read = decompress_into(reader, &mut writer);
        drop(writer);
        (read, unpacker.join())
    });
    let unpacked = unpacked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (read, unpacked) {
        // The unpacker went away; it knows why, or has all it needs.
        (Err(error), unpacked) if error.kind() == std::io::ErrorKind::BrokenPipe => unpacked,
        (Err(source), Ok(_) | Err(UnpackError::Archive { .. })) => {
            Err(UnpackError::Read { source })
        }
        (_, unpacked) => unpacked,
    }
}

fn decompress_into(reader: Box<dyn Read + Send>, writer: &mut impl Write) -> std::io::Result<()> {
    let mut reader = compression::decompress(BufReader::with_capacity(64 * 1024, reader))?;
    std::io::copy(&mut reader, writer)?;
    writer.flush()
}

/// Takes the digest of what is written.
#[derive(Default)]
struct Summing(Sha256);

impl Write for &mut Summing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
