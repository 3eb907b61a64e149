//! The records that PAX archives put in front of a member.

use std::time::Duration;

use super::TarError;

/// The prefix under which extended attributes travel.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What extended headers say about the next member.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) modified: Option<Duration>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

/// The three ways of describing a sparse file with such records.
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    /// True for the form that keeps the map in front of the data.
    pub(super) map_in_data: bool,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// The numbers of the map, in either of the forms that keep it in the header.
    pub(super) map: Option<Vec<u64>>,
}

impl Pax {
    /// Adds the records of one extended header.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), TarError> {
        while !bytes.is_empty() && bytes[0] != 0 {
            let (key, value, rest) = record(bytes)?;
            self.set(key, value)?;
            bytes = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        match key {
            b"path" => self.path = text(value)?,
            b"linkpath" => self.link_path = text(value)?,
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = small(value)?,
            b"gid" => self.gid = small(value)?,
            b"mtime" => self.modified = Some(time(value)?),
            b"GNU.sparse.major" => self.sparse.map_in_data = value == b"1",
            b"GNU.sparse.name" => self.sparse.name = text(value)?,
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                self.sparse.real_size = Some(decimal(value)?);
            }
            b"GNU.sparse.map" => {
                let numbers = value.split(|byte| *byte == b',').map(decimal);
                self.sparse.map = Some(numbers.collect::<Result<_, _>>()?);
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse
                    .map
                    .get_or_insert_default()
                    .push(decimal(value)?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Key, value, and what follows the line.
type Line<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits off one `length key=value` line; the length counts the whole line.
fn record(bytes: &[u8]) -> Result<Line<'_>, TarError> {
    const WRONG: TarError = TarError::Malformed("an extended header is wrong");
    let space = bytes.iter().position(|byte| *byte == b' ').ok_or(WRONG)?;
    let length = usize::try_from(decimal(&bytes[..space])?).map_err(|_too_large| WRONG)?;
    let line = bytes.get(space + 1..length).ok_or(WRONG)?;
    let Some((b'\n', line)) = line.split_last() else {
        return Err(WRONG);
    };
    let equals = line.iter().position(|byte| *byte == b'=').ok_or(WRONG)?;
    Ok((&line[..equals], &line[equals + 1..], &bytes[length..]))
}

/// An empty value takes the key back.
fn text(value: &[u8]) -> Result<Option<Vec<u8>>, TarError> {
    if value.contains(&0) {
        return Err(TarError::Malformed("a name contains a NUL"));
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn small(value: &[u8]) -> Result<Option<u32>, TarError> {
    if value.is_empty() {
        return Ok(None);
    }
    let number = decimal(value)?;
    let number = u32::try_from(number)
        .map_err(|_range| TarError::Malformed("an owner in an extended header is too large"))?;
    Ok(Some(number))
}

pub(super) fn decimal(value: &[u8]) -> Result<u64, TarError> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(TarError::Malformed(
            "a number in an extended header is wrong",
        ))
}

/// Reads seconds with a fraction; times before 1970 become 1970.
fn time(value: &[u8]) -> Result<Duration, TarError> {
    if value.first() == Some(&b'-') {
        return Ok(Duration::ZERO);
    }
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let seconds = decimal(parts.next().unwrap_or_default())?;
    let mut digits = parts.next().unwrap_or_default().to_vec();
    digits.resize(9, b'0');
    let nanoseconds = u32::try_from(decimal(&digits)?).unwrap_or(0);
    Ok(Duration::new(seconds, nanoseconds))
}
