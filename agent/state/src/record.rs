//! What is stored: typed records, each with a version, kept as JSON behind a small header.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::StateError;

/// A kind of value that is kept in its own table, by string keys.
///
/// The stored form is the JSON of the type. A change of the type that old JSON does not fit raises
/// [`Record::VERSION`] and teaches [`Record::migrate`] the step; a record is migrated when it is read.
pub trait Record: Serialize + DeserializeOwned {
    /// The table's name, which never changes.
    const TABLE: &'static str;
    /// The version that is written today, counted from 1.
    const VERSION: u32;

    /// Turns the JSON of version `from` into the JSON of version `from + 1`.
    ///
    /// # Errors
    ///
    /// Returns an error when there is no such step or when the value does not have that version's form.
    fn migrate(from: u32, value: Value) -> Result<Value, MigrateError> {
        let _ = value;
        Err(MigrateError::UnknownVersion {
            table: Self::TABLE,
            version: from,
        })
    }
}

/// The reasons why an old record cannot be brought to today's form.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No migration starts at this version.
    #[error("no migration from version {version} of table {table}")]
    UnknownVersion {
        /// The record's table.
        table: &'static str,
        /// The version that was found.
        version: u32,
    },
    /// The old record does not look as its version says.
    #[error("a version {version} record of table {table} is malformed: {detail}")]
    Malformed {
        /// The record's table.
        table: &'static str,
        /// The version that was found.
        version: u32,
        /// What is wrong with it.
        detail: String,
    },
}

const HEADER: usize = size_of::<u32>();

pub(crate) fn encode<R: Record>(key: &str, record: &R) -> Result<Vec<u8>, StateError> {
    let mut bytes = R::VERSION.to_le_bytes().to_vec();
    serde_json::to_writer(&mut bytes, record).map_err(|source| StateError::Encode {
        table: R::TABLE,
        key: key.to_owned(),
        source,
    })?;
    Ok(bytes)
}

pub(crate) fn decode<R: Record>(key: &str, bytes: &[u8]) -> Result<R, StateError> {
    let decode_error = |source| StateError::Decode {
        table: R::TABLE,
        key: key.to_owned(),
        source,
    };
    let Some((header, json)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(StateError::Truncated {
            table: R::TABLE,
            key: key.to_owned(),
        });
    };
    let version = u32::from_le_bytes(*header);
    if version == R::VERSION {
        return serde_json::from_slice(json).map_err(decode_error);
    }
    if version > R::VERSION {
        return Err(StateError::NewerVersion {
            table: R::TABLE,
            key: key.to_owned(),
            version,
            known: R::VERSION,
        });
    }
    let mut value: Value = serde_json::from_slice(json).map_err(decode_error)?;
    for from in version..R::VERSION {
        value = R::migrate(from, value).map_err(|source| StateError::Migrate {
            key: key.to_owned(),
            source,
        })?;
    }
    serde_json::from_value(value).map_err(decode_error)
}
