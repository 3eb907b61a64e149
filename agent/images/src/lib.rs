//! Images: their names, their content, and how they get here and away.
//!
//! [`Images`] is the store of one machine. It pulls from and pushes to registries, unpacks layers
//! into the snapshotter while they arrive, makes images out of what containers and builds changed,
//! and removes what nobody needs any more. Running them is not its business.
//!
//! Content is named by its digest everywhere and becomes visible only when the digest is right.

mod compression;
mod configuration;
mod content;
mod credentials;
mod digest;
mod error_kind;
mod fetch;
mod image;
mod images;
mod ingest;
mod layout;
mod leases;
mod load;
mod pack;
mod pipe;
mod platform;
mod progress;
mod pull;
mod push;
mod records;
mod reference;
mod registry;
mod remote;
mod save;
mod store_error;
mod timestamp;
mod unpack;

pub use compression::{Compression, decompress};
pub use configuration::{ContainerDefaults, HistoryEntry, ImageConfiguration, RootFs};
pub use credentials::Credentials;
pub use digest::{Digest, ParseDigestError};
pub use error_kind::ErrorKind;
pub use fetch::{FetchError, fetch};
pub use image::{Image, ImageId, ImageUse, Removed};
pub use images::{
    CommitError, CommitRequest, HistoryStep, Images, ImagesConfig, ImportError, ImportRequest,
    LayerSource, LookupError, OpenError, RemoveError,
};
pub use leases::KeptLayers;
pub use load::{LoadError, Loaded, LoadedName};
pub use platform::{ParsePlatformError, Platform};
pub use progress::{LayerPhase, Progress, ProgressSink};
pub use pull::{PullError, Pulled};
pub use push::{PushError, Pushed};
pub use reference::{AnyReference, ParseReferenceError, Reference};
pub use registry::RegistryError;
pub use remote::{LoginError, Remote};
pub use save::{SaveError, Saving};
pub use store_error::StoreError;
pub use unpack::{Live, UnpackError, UnpackOptions, Unpacked, Whiteouts, apply_tar};
