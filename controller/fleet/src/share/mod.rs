//! Handing a machine to another operator: `export` packs its record, certificates and keys into a
//! file that a passphrase opens, `import` makes a machine of it in another store.
//!
//! The bundle has a client certificate of the exporting operator's authority, made for it, so the
//! imported machine is reached at once and the importing operator can be shut out again; the
//! authority's own key stays at home, so they can sign nothing in its name.

mod age;
mod bundle;
mod export;
mod import;
pub(crate) mod record;
mod telling;

pub use age::SealError;
pub use bundle::BundleError;
pub(crate) use export::small_files;
pub use export::{ExportError, ExportOptions, Exported};
pub use import::{ImportError, ImportOptions, Imported};
