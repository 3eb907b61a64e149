//! What a closure can do inside a transaction.

use std::fmt;

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use crate::record::{decode, encode};
use crate::{Record, StateError};

type Definition = TableDefinition<'static, &'static str, &'static [u8]>;

/// A consistent view of all tables as they were when the transaction began.
pub struct Reader {
    transaction: ReadTransaction,
}

/// A transaction that sees its own changes; nobody else sees any of them until it ends well.
pub struct Writer<'a> {
    transaction: &'a WriteTransaction,
    changes: Vec<Change>,
}

/// One changed key, kept so that writes that have not reached the disk can be done again.
#[derive(Clone)]
pub(crate) struct Change {
    table: &'static str,
    key: String,
    value: Option<Vec<u8>>,
}

// === impl Reader ===

impl Reader {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        Self { transaction }
    }

    /// Returns the record of this key.
    ///
    /// # Errors
    ///
    /// Returns an error when the database or the record cannot be read.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StateError> {
        match self.transaction.open_table(Definition::new(R::TABLE)) {
            Ok(table) => get(&table, key),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(StateError::database(error)),
        }
    }

    /// Returns all records of the kind with their keys, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Returns an error when the database or a record cannot be read.
    pub fn list<R: Record>(&self) -> Result<Vec<(String, R)>, StateError> {
        self.prefix("")
    }

    /// Returns the records whose keys begin with `prefix`, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Returns an error when the database or a record cannot be read.
    pub fn prefix<R: Record>(&self, prefix: &str) -> Result<Vec<(String, R)>, StateError> {
        match self.transaction.open_table(Definition::new(R::TABLE)) {
            Ok(table) => list(&table, prefix),
            Err(TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
            Err(error) => Err(StateError::database(error)),
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").finish_non_exhaustive()
    }
}

// === impl Writer ===

impl<'a> Writer<'a> {
    pub(crate) fn new(transaction: &'a WriteTransaction) -> Self {
        Self {
            transaction,
            changes: Vec::new(),
        }
    }

    pub(crate) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Returns the record of this key, with this transaction's own changes.
    ///
    /// # Errors
    ///
    /// Returns an error when the database or the record cannot be read.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StateError> {
        get(&self.table(R::TABLE)?, key)
    }

    /// Returns all records of the kind with their keys, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Returns an error when the database or a record cannot be read.
    pub fn list<R: Record>(&self) -> Result<Vec<(String, R)>, StateError> {
        self.prefix("")
    }

    /// Returns the records whose keys begin with `prefix`, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Returns an error when the database or a record cannot be read.
    pub fn prefix<R: Record>(&self, prefix: &str) -> Result<Vec<(String, R)>, StateError> {
        list(&self.table(R::TABLE)?, prefix)
    }

    /// Stores the record under this key, replacing what was there.
    ///
    /// # Errors
    ///
    /// Returns an error when the record cannot be encoded or the database cannot be written.
    pub fn put<R: Record>(&mut self, key: &str, record: &R) -> Result<(), StateError> {
        self.apply(Change {
            table: R::TABLE,
            key: key.to_owned(),
            value: Some(encode(key, record)?),
        })
    }

    /// Stores the record unless the key is taken, and says whether it did.
    ///
    /// # Errors
    ///
    /// Returns an error when the record cannot be encoded or the database cannot be written.
    pub fn insert<R: Record>(&mut self, key: &str, record: &R) -> Result<bool, StateError> {
        if self.contains::<R>(key)? {
            return Ok(false);
        }
        self.put(key, record)?;
        Ok(true)
    }

    /// Removes the record of this key, and says whether there was one.
    ///
    /// # Errors
    ///
    /// Returns an error when the database cannot be written.
    pub fn remove<R: Record>(&mut self, key: &str) -> Result<bool, StateError> {
        if !self.contains::<R>(key)? {
            return Ok(false);
        }
        self.apply(Change {
            table: R::TABLE,
            key: key.to_owned(),
            value: None,
        })?;
        Ok(true)
    }

    fn contains<R: Record>(&self, key: &str) -> Result<bool, StateError> {
        let table = self.table(R::TABLE)?;
        let found = table.get(key).map_err(StateError::database)?;
        Ok(found.is_some())
    }

    /// Makes one change, whatever the type of the record.
    pub(crate) fn apply(&mut self, change: Change) -> Result<(), StateError> {
        let mut table = self.table(change.table)?;
        let key = change.key.as_str();
        match &change.value {
            Some(value) => drop(
                table
                    .insert(key, value.as_slice())
                    .map_err(StateError::database)?,
            ),
            None => drop(table.remove(key).map_err(StateError::database)?),
        }
        drop(table);
        self.changes.push(change);
        Ok(())
    }

    fn table(
        &self,
        name: &'static str,
    ) -> Result<redb::Table<'a, &'static str, &'static [u8]>, StateError> {
        self.transaction
            .open_table(Definition::new(name))
            .map_err(StateError::database)
    }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Writer")
            .field("changes", &self.changes.len())
            .finish_non_exhaustive()
    }
}

// === both ===

fn get<R: Record>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<R>, StateError> {
    match table.get(key).map_err(StateError::database)? {
        Some(value) => decode(key, value.value()).map(Some),
        None => Ok(None),
    }
}

fn list<R: Record>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    prefix: &str,
) -> Result<Vec<(String, R)>, StateError> {
    let mut records = Vec::new();
    for entry in table.range(prefix..).map_err(StateError::database)? {
        let (key, value) = entry.map_err(StateError::database)?;
        let key = key.value();
        if !key.starts_with(prefix) {
            break;
        }
        records.push((key.to_owned(), decode(key, value.value())?));
    }
    Ok(records)
}
