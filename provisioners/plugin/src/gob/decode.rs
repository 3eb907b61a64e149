//! From bytes to values.
//!
//! Peers are not trusted: how deep values nest, how many there are and how long anything is, is
//! bounded by what has really arrived, never by what a peer announces.

use std::collections::BTreeMap;

use super::types::{Types, WireType, id};
use super::wire::Cursor;
use super::{GobError, Value};

/// Flags in an interface in a list, and their list of texts: five.
const MAX_DEPTH: usize = 32;
/// The values of one message. A driver with a thousand flags has some ten thousand.
const MAX_VALUES: usize = 200_000;

/// What one message is.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// It described a type.
    Type,
    /// It was a value.
    Value(Value),
}

/// Decodes one message, or the beginning of it: [`GobError::Continued`] asks for the next one to be
/// added, its length included.
pub(crate) fn message(bytes: &[u8], types: &mut Types) -> Result<Decoded, GobError> {
    let mut cursor = Cursor::new(bytes);
    let number = cursor.int()?;
    if number < 0 {
        types.define(number.checked_neg().unwrap_or_default(), &mut cursor)?;
        return ended(&cursor).map(|()| Decoded::Type);
    }
    let mut decoder = Decoder {
        cursor,
        types,
        left: MAX_VALUES,
    };
    let value = decoder.outermost(number, 0)?;
    ended(&decoder.cursor).map(|()| Decoded::Value(value))
}

fn ended(cursor: &Cursor<'_>) -> Result<(), GobError> {
    if cursor.is_empty() {
        Ok(())
    } else {
        Err(GobError::Malformed(
            "there is more in a message than its value",
        ))
    }
}

struct Decoder<'a, 't> {
    cursor: Cursor<'a>,
    types: &'t mut Types,
    left: usize,
}

// === impl Decoder ===

impl Decoder<'_, '_> {
    /// A value at the outside of a message or interface: a zero stands before all but structures.
    fn outermost(&mut self, number: i64, depth: usize) -> Result<Value, GobError> {
        if !self.types.is_struct(number) && self.cursor.uint()? != 0 {
            return Err(GobError::Malformed("a value does not begin with zero"));
        }
        self.value(number, depth)
    }

    fn value(&mut self, number: i64, depth: usize) -> Result<Value, GobError> {
        if depth > MAX_DEPTH {
            return Err(GobError::Limit {
                what: "values inside each other",
                limit: MAX_DEPTH as u64,
            });
        }
        self.left = self.left.checked_sub(1).ok_or(GobError::Limit {
            what: "values in a message",
            limit: MAX_VALUES as u64,
        })?;
        let cursor = &mut self.cursor;
        Ok(match number {
            id::BOOL => Value::Bool(cursor.uint()? != 0),
            id::INT => Value::Int(cursor.int()?),
            id::UINT => Value::Uint(cursor.uint()?),
            id::FLOAT => Value::Float(cursor.float()?),
            id::BYTES => Value::Bytes(cursor.bytes()?.to_vec()),
            id::TEXT => Value::Text(cursor.text()?),
            id::COMPLEX => Value::Complex(cursor.float()?, cursor.float()?),
            id::INTERFACE => return self.interface(depth),
            own => return self.own(own, depth),
        })
    }

    fn own(&mut self, number: i64, depth: usize) -> Result<Value, GobError> {
        let shape = self
            .types
            .get(number)
            .ok_or(GobError::Malformed("a value is of an unknown type"))?;
        match &*shape {
            WireType::Opaque => Ok(Value::Bytes(self.cursor.bytes()?.to_vec())),
            WireType::List { elem } => {
                let count = self.cursor.count()?;
                let list = (0..count).map(|_| self.value(*elem, depth + 1));
                Ok(Value::List(list.collect::<Result<_, _>>()?))
            }
            WireType::Map { key, elem } => {
                let count = self.cursor.count()?;
                let pairs = (0..count)
                    .map(|_| Ok((self.value(*key, depth + 1)?, self.value(*elem, depth + 1)?)));
                Ok(Value::Map(pairs.collect::<Result<_, GobError>>()?))
            }
            WireType::Struct { fields } => self.structure(fields, depth),
        }
    }

    fn structure(&mut self, shape: &[(String, i64)], depth: usize) -> Result<Value, GobError> {
        let mut found = BTreeMap::new();
        let mut next = 0;
        loop {
            let delta = self.cursor.uint()?;
            if delta == 0 {
                return Ok(Value::Struct(found));
            }
            let field = usize::try_from(delta - 1)
                .ok()
                .and_then(|delta| delta.checked_add(next))
                .filter(|field| *field < shape.len())
                .ok_or(GobError::Malformed("a structure has an unknown field"))?;
            let (name, number) = &shape[field];
            found.insert(name.clone(), self.value(*number, depth + 1)?);
            next = field + 1;
        }
    }

    /// A name, descriptions of types that are new, and a value of one type.
    fn interface(&mut self, depth: usize) -> Result<Value, GobError> {
        let name = self.cursor.text()?;
        if name.is_empty() {
            return Ok(Value::Nil);
        }
        let number = loop {
            let number = self.cursor.int()?;
            if number >= 0 {
                break number;
            }
            let defined = number.checked_neg().unwrap_or_default();
            self.types.define(defined, &mut self.cursor)?;
            if self.cursor.is_empty() {
                return Err(GobError::Continued);
            }
            // What follows is counted anew: by the next message, or inside of this one.
            self.cursor.uint()?;
        };
        // How long the value is, for peers that skip it.
        self.cursor.uint()?;
        let value = self.outermost(number, depth + 1)?;
        Ok(Value::Interface(name, Box::new(value)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::{put_bytes, put_int, put_uint};
    use super::*;

    fn value(bytes: &[u8], types: &mut Types) -> Result<Value, GobError> {
        match message(bytes, types)? {
            Decoded::Value(value) => Ok(value),
            Decoded::Type => panic!("a type"),
        }
    }

    /// A list whose elements are lists of the same type.
    fn recursive() -> Types {
        let mut types = Types::default();
        let definition = hex::decode("ff81020102ff820001ff820000").unwrap();
        assert!(matches!(
            message(&definition, &mut types).unwrap(),
            Decoded::Type
        ));
        types
    }

    #[test]
    fn values_inside_each_other_end_somewhere() {
        let mut bytes = vec![0xff, 0x82, 0];
        bytes.extend([1; 100_000]);
        bytes.push(0);
        let error = value(&bytes, &mut recursive()).unwrap_err();
        assert!(error.to_string().contains("inside each other"), "{error}");
    }

    #[test]
    fn lists_are_no_longer_than_their_message() {
        let mut bytes = vec![0xff, 0x82, 0];
        put_uint(&mut bytes, u64::MAX);
        value(&bytes, &mut recursive()).unwrap_err();
        let mut text = vec![0x0c, 0];
        put_uint(&mut text, 1 << 40);
        value(&text, &mut Types::default()).unwrap_err();
    }

    #[test]
    fn messages_of_very_many_values_are_refused() {
        let mut bytes = vec![0xff, 0x82, 0];
        put_uint(&mut bytes, 300_000);
        bytes.extend(std::iter::repeat_n(0, 300_000));
        let error = value(&bytes, &mut recursive()).unwrap_err();
        assert!(error.to_string().contains("200000"), "{error}");
    }

    #[test]
    fn types_cannot_be_made_without_end_or_changed() {
        let mut types = Types::default();
        let define = |types: &mut Types, number: i64| {
            let mut bytes = Vec::new();
            put_int(&mut bytes, -number);
            bytes.extend(hex::decode("020102ff8200010c0000").unwrap());
            message(&bytes, types)
        };
        define(&mut types, 65).unwrap();
        define(&mut types, 65).unwrap_err();
        define(&mut types, 6).unwrap_err();
        let error = (66..1000).find_map(|number| define(&mut types, number).err());
        assert!(error.unwrap().to_string().contains("256 types"));
    }

    #[test]
    fn an_interface_that_holds_nothing_is_nil() {
        assert_eq!(
            value(&[0x10, 0, 0], &mut Types::default()).unwrap(),
            Value::Nil
        );
        let mut named = vec![0x10, 0];
        put_bytes(&mut named, b"string");
        named.extend([0x0c, 3, 0, 1, b'x']);
        assert_eq!(
            value(&named, &mut Types::default()).unwrap(),
            Value::Interface("string".to_owned(), Box::new(Value::Text("x".to_owned())))
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = message(&bytes, &mut recursive());
        }
    }
}
