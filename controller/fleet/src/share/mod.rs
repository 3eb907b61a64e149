//! Handing a machine to another operator: `export` packs its record, certificates and keys into a
//! file that a passphrase opens, `import` makes a machine of it in another store.
//!
//! The certificates are the exporting operator's, so the imported machine is reached at once; the
//! authority's own key stays at home, so the importing operator can sign nothing in its name.

mod age;
mod bundle;
mod export;
mod import;
pub(crate) mod record;

pub use age::SealError;
pub use bundle::BundleError;
pub use export::ExportError;
pub(crate) use export::small_files;
pub use import::{ImportError, ImportOptions, Imported};
