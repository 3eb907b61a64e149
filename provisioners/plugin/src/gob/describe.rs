//! Structures as they are written, and the descriptions of types, which are structures.

use super::wire::{put_bytes, put_int, put_uint};

/// Fields of a type's description.
pub(super) const LIST: u64 = 1;
const STRUCT: u64 = 2;
pub(super) const MAP: u64 = 3;

/// The fields of one structure, in their order; those with their zero value are left out.
pub(super) struct Fields<'a> {
    out: &'a mut Vec<u8>,
    distance: u64,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, distance: 1 }
    }

    pub(super) fn skip_or(&mut self, skip: bool, write: impl FnOnce(&mut Vec<u8>)) {
        if skip {
            self.distance += 1;
            return;
        }
        put_uint(self.out, self.distance);
        write(self.out);
        self.distance = 1;
    }

    pub(super) fn text(&mut self, text: &str) {
        self.skip_or(text.is_empty(), |out| put_bytes(out, text.as_bytes()));
    }

    pub(super) fn end(self) {
        self.out.push(0);
    }
}

/// Writes the name and number with which every description begins.
fn put_common(fields: &mut Fields<'_>, name: &str, number: i64) {
    fields.skip_or(false, |out| {
        let mut common = Fields::new(out);
        common.text(name);
        common.skip_or(false, |out| put_int(out, number));
        common.end();
    });
}

pub(super) fn describe_struct(out: &mut Vec<u8>, name: &str, number: i64, list: &[(&str, i64)]) {
    put_uint(out, STRUCT + 1);
    let mut fields = Fields::new(out);
    put_common(&mut fields, name, number);
    fields.skip_or(list.is_empty(), |out| {
        put_uint(out, list.len() as u64);
        for (name, number) in list {
            let mut field = Fields::new(out);
            field.text(name);
            field.skip_or(false, |out| put_int(out, *number));
            field.end();
        }
    });
    fields.end();
    out.push(0);
}

/// Writes the description of a list or a map.
pub(super) fn describe_plain(
    out: &mut Vec<u8>,
    (kind, name, number): (u64, &str, i64),
    of: &[i64],
) {
    put_uint(out, kind + 1);
    let mut fields = Fields::new(out);
    put_common(&mut fields, name, number);
    for number in of {
        fields.skip_or(false, |out| put_int(out, *number));
    }
    fields.end();
    out.push(0);
}
