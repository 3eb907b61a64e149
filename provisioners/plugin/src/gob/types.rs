//! What a peer says about its types: numbers of its own choice, valid for one connection.

use std::collections::HashMap;
use std::sync::Arc;

use super::GobError;
use super::wire::Cursor;

/// The numbers of the types that every peer knows.
pub(crate) mod id {
    pub(crate) const BOOL: i64 = 1;
    pub(crate) const INT: i64 = 2;
    pub(crate) const UINT: i64 = 3;
    pub(crate) const FLOAT: i64 = 4;
    pub(crate) const BYTES: i64 = 5;
    pub(crate) const TEXT: i64 = 6;
    pub(crate) const COMPLEX: i64 = 7;
    pub(crate) const INTERFACE: i64 = 8;
    /// The first that a peer may give to a type of its own.
    pub(crate) const FIRST_OWN: i64 = 64;
}

/// A driver needs about ten types.
const MAX_TYPES: usize = 256;
const MAX_FIELDS: usize = 256;

/// The shape of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    /// A list; arrays look the same.
    List { elem: i64 },
    /// Fields in their order.
    Struct { fields: Vec<(String, i64)> },
    /// Pairs.
    Map { key: i64, elem: i64 },
    /// Bytes that only the type itself understands.
    Opaque,
}

/// The types that a peer has described so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Types {
    by_id: HashMap<i64, Arc<WireType>>,
}

// === impl Types ===

impl Types {
    pub(crate) fn get(&self, id: i64) -> Option<Arc<WireType>> {
        self.by_id.get(&id).cloned()
    }

    /// Returns whether values of a type are written without the byte that stands before others at
    /// the outside.
    pub(crate) fn is_struct(&self, id: i64) -> bool {
        matches!(
            self.by_id.get(&id).map(Arc::as_ref),
            Some(WireType::Struct { .. })
        )
    }

    /// Reads what follows the negated number of a new type.
    pub(crate) fn define(&mut self, id: i64, cursor: &mut Cursor<'_>) -> Result<(), GobError> {
        if id < id::FIRST_OWN {
            return Err(GobError::Malformed("a type takes the number of another"));
        }
        if self.by_id.len() >= MAX_TYPES {
            return Err(GobError::Limit {
                what: "types",
                limit: MAX_TYPES as u64,
            });
        }
        let shape = wire_type(cursor)?;
        if self.by_id.insert(id, Arc::new(shape)).is_some() {
            return Err(GobError::Malformed("a type is described twice"));
        }
        Ok(())
    }
}

/// Reads the fields of a structure: `read` gets each one's number.
pub(crate) fn fields<'a>(
    cursor: &mut Cursor<'a>,
    mut read: impl FnMut(&mut Cursor<'a>, u64) -> Result<(), GobError>,
) -> Result<(), GobError> {
    // Fields are numbered from 0 and written as the distance to the one before, from -1.
    let mut next = 0_u64;
    loop {
        let delta = cursor.uint()?;
        if delta == 0 {
            return Ok(());
        }
        let field = next
            .checked_add(delta - 1)
            .ok_or(GobError::Malformed("a field's number is too large"))?;
        read(cursor, field)?;
        next = field + 1;
    }
}

const UNKNOWN: GobError = GobError::Malformed("a description of a type has an unknown field");

fn wire_type(cursor: &mut Cursor<'_>) -> Result<WireType, GobError> {
    let mut shape = None;
    fields(cursor, |cursor, field| {
        shape = Some(match field {
            0 | 1 => WireType::List {
                elem: numbers(cursor)?[0],
            },
            2 => WireType::Struct {
                fields: structure(cursor)?,
            },
            3 => {
                let [key, elem] = numbers(cursor)?;
                WireType::Map { key, elem }
            }
            4..=6 => {
                numbers(cursor)?;
                WireType::Opaque
            }
            _ => return Err(UNKNOWN),
        });
        Ok(())
    })?;
    shape.ok_or(GobError::Malformed("a description of a type is empty"))
}

/// Reads a description that has numbers behind the type's name.
fn numbers(cursor: &mut Cursor<'_>) -> Result<[i64; 2], GobError> {
    let mut numbers = [0; 2];
    fields(cursor, |cursor, field| match field {
        0 => common(cursor),
        1 | 2 => {
            numbers[usize::from(field == 2)] = cursor.int()?;
            Ok(())
        }
        _ => Err(UNKNOWN),
    })?;
    Ok(numbers)
}

/// Reads the name and number that every description begins with; both are known or not needed.
fn common(cursor: &mut Cursor<'_>) -> Result<(), GobError> {
    fields(cursor, |cursor, field| match field {
        0 => cursor.bytes().map(drop),
        1 => cursor.int().map(drop),
        _ => Err(UNKNOWN),
    })
}

fn structure(cursor: &mut Cursor<'_>) -> Result<Vec<(String, i64)>, GobError> {
    let mut list = Vec::new();
    fields(cursor, |cursor, field| match field {
        0 => common(cursor),
        1 => {
            let count = cursor.count()?;
            if count > MAX_FIELDS {
                return Err(GobError::Limit {
                    what: "fields in a type",
                    limit: MAX_FIELDS as u64,
                });
            }
            for _ in 0..count {
                list.push(field_type(cursor)?);
            }
            Ok(())
        }
        _ => Err(UNKNOWN),
    })?;
    Ok(list)
}

fn field_type(cursor: &mut Cursor<'_>) -> Result<(String, i64), GobError> {
    let (mut name, mut id) = (String::new(), 0);
    fields(cursor, |cursor, field| {
        match field {
            0 => name = cursor.text()?,
            1 => id = cursor.int()?,
            _ => return Err(UNKNOWN),
        }
        Ok(())
    })?;
    Ok((name, id))
}
