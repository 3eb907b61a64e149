//! Writing archives, always in the same way for the same tree.
//!
//! The digest of what is written here names layers, and is compared when a layer is packed again
//! for a push. A change of a single byte orphans layers made before; a test pins the digest of an
//! archive with one of everything.

use std::io::{self, Read, Write};

use super::BLOCK;
use super::holes::Holes;

/// The largest value that the octal fields of 8 and of 12 characters hold.
const MAX_SHORT: u64 = 0o7_777_777;
const MAX_LONG: u64 = 0o77_777_777_777;

/// One member to write. Its data follows with [`TarWriter::data`].
#[derive(Debug, Default)]
pub struct NewEntry<'a> {
    /// Its name.
    pub path: &'a [u8],
    /// Target of a link, of either kind.
    pub link: &'a [u8],
    /// The letter of the kind.
    pub kind: u8,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Time of the last change, since 1970.
    pub modified_seconds: u64,
    /// Size of the file that follows.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// Writes members to a stream.
#[derive(Debug)]
pub struct TarWriter<W> {
    writer: W,
}

impl<W: Write> TarWriter<W> {
    /// Begins an archive.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }

    /// Returns what is written to, for data that goes there without being copied.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Writes a member's header, with an extended one in front where it needs that.
    ///
    /// # Errors
    ///
    /// Fails when the writer does.
    pub fn entry(&mut self, entry: &NewEntry<'_>) -> io::Result<()> {
        self.entry_with(entry, extended_records(entry))
    }

    /// Writes the header of a file of which only the pieces between the holes follow, in the form that
    /// GNU tar calls 1.0, which Go, Python and others read too. The pieces follow with
    /// [`TarWriter::get_mut`], then [`TarWriter::pad`] with [`Holes::stored`].
    ///
    /// # Errors
    ///
    /// Fails when the writer does.
    pub fn sparse_entry(&mut self, entry: &NewEntry<'_>, holes: &Holes) -> io::Result<()> {
        let map = holes.map();
        let mut records = Vec::new();
        add(&mut records, b"GNU.sparse.major", b"1");
        add(&mut records, b"GNU.sparse.minor", b"0");
        add(&mut records, b"GNU.sparse.name", entry.path);
        let real_size = entry.size.to_string();
        add(&mut records, b"GNU.sparse.realsize", real_size.as_bytes());
        let stored = NewEntry {
            size: map.len() as u64 + holes.stored(),
            ..*entry
        };
        records.extend(extended_records(&stored));
        self.entry_with(&stored, records)?;
        self.writer.write_all(&map)
    }

    fn entry_with(&mut self, entry: &NewEntry<'_>, records: Vec<u8>) -> io::Result<()> {
        if !records.is_empty() {
            let header = NewEntry {
                path: b"PaxHeaders/0",
                kind: b'x',
                mode: 0o644,
                size: records.len() as u64,
                ..NewEntry::default()
            };
            self.writer.write_all(&block(&header))?;
            self.writer.write_all(&records)?;
            self.pad(header.size)?;
        }
        self.writer.write_all(&block(entry))
    }

    /// Writes a file's data, which must be as long as its header said.
    ///
    /// # Errors
    ///
    /// Fails when the writer does, or with `UnexpectedEof` when there is less data.
    pub fn data(&mut self, size: u64, from: &mut impl Read) -> io::Result<()> {
        let copied = io::copy(&mut from.take(size), &mut self.writer)?;
        if copied != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            ));
        }
        self.pad(size)
    }

    /// Ends the archive.
    ///
    /// # Errors
    ///
    /// Fails when the writer does.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.write_all(&[0; 2 * BLOCK])?;
        Ok(self.writer)
    }

    /// Writes what follows after data of this size, up to the end of the block.
    ///
    /// # Errors
    ///
    /// Fails when the writer does.
    pub fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        let padding = usize::try_from(padding).unwrap_or(0);
        self.writer.write_all(&[0; BLOCK][..padding])
    }
}

fn block(entry: &NewEntry<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, width: usize, bytes: &[u8]| {
        let n = bytes.len().min(width);
        block[at..at + n].copy_from_slice(&bytes[..n]);
    };
    put(0, 100, entry.path);
    put(100, 8, &octal(u64::from(entry.mode), 7));
    put(108, 8, &octal(u64::from(entry.uid).min(MAX_SHORT), 7));
    put(116, 8, &octal(u64::from(entry.gid).min(MAX_SHORT), 7));
    put(124, 12, &octal(entry.size.min(MAX_LONG), 11));
    put(136, 12, &octal(entry.modified_seconds.min(MAX_LONG), 11));
    put(148, 8, b"        ");
    put(156, 1, &[entry.kind]);
    put(157, 100, entry.link);
    put(257, 8, b"ustar\x0000");
    put(329, 8, &octal(u64::from(entry.device.0), 7));
    put(337, 8, &octal(u64::from(entry.device.1), 7));
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(&octal(sum, 6));
    block[155] = b' ';
    block
}

/// Returns that many octal digits and a NUL.
fn octal(value: u64, digits: usize) -> Vec<u8> {
    let mut text = format!("{value:0digits$o}").into_bytes();
    text.push(0);
    text
}

/// Returns the records for everything that the old header cannot say.
fn extended_records(entry: &NewEntry<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| add(&mut records, key, value);
    if entry.path.len() > 100 || !entry.path.is_ascii() {
        add(b"path", entry.path);
    }
    if entry.link.len() > 100 || !entry.link.is_ascii() {
        add(b"linkpath", entry.link);
    }
    if entry.size > MAX_LONG {
        add(b"size", entry.size.to_string().as_bytes());
    }
    if u64::from(entry.uid) > MAX_SHORT {
        add(b"uid", entry.uid.to_string().as_bytes());
    }
    if u64::from(entry.gid) > MAX_SHORT {
        add(b"gid", entry.gid.to_string().as_bytes());
    }
    if entry.modified_seconds > MAX_LONG {
        add(b"mtime", entry.modified_seconds.to_string().as_bytes());
    }
    for (key, value) in entry.xattrs {
        add(&[b"SCHILY.xattr.", key.as_slice()].concat(), value);
    }
    records
}

/// Adds one record.
fn add(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}
