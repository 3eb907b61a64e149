//! Reading an archive member by member.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use super::BLOCK;
use super::header::{Header, sparse_extension};
use super::pax::{self, Pax};
use super::sparse::{self, SparseMap};

/// The longest name or extended header that is believed, as in Go's reader.
const MAX_SPECIAL: u64 = 1 << 20;

/// How much of these one member may have in all; what they say is kept until the member comes.
const MAX_SPECIAL_SUM: u64 = 4 * MAX_SPECIAL;

/// The most digits of a number in a sparse file's map.
const MAX_DIGITS: usize = 20;

/// The reasons why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The archive is not well-formed.
    #[error("malformed tar: {0}")]
    Malformed(&'static str),
    /// What the archive comes from cannot be read.
    #[error("cannot read the tar")]
    Read(#[source] io::Error),
    /// The data of a member cannot be written.
    #[error("cannot write the file")]
    Write(#[source] io::Error),
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Where the pieces of its data belong, when it has holes.
        sparse: Option<SparseMap>,
    },
    /// Another name of a member before it.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A kind that nobody here knows, by its letter.
    Unknown(u8),
}

/// One member of an archive, as it is written there; nothing about its name has been checked.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub path: Vec<u8>,
    /// Target of a link, of either kind.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Time of the last change, since 1970.
    pub modified: Duration,
    /// Size of the file, holes included; 0 for what is no file.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads members from a stream.
#[derive(Debug)]
pub struct TarReader<R> {
    reader: R,
    /// Data of the current member that was not read yet.
    data_left: u64,
    /// Padding after it.
    padding: u64,
}

impl<R: BufRead> TarReader<R> {
    /// Reads an archive from its beginning.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            data_left: 0,
            padding: 0,
        }
    }

    /// Goes to the next member; `None` at the archive's end.
    ///
    /// # Errors
    ///
    /// Fails when the archive is malformed or cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not lend the data in between"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let (mut long_name, mut long_link, mut pax) = (None, None, Pax::default());
        let mut special_sum = 0_u64;
        loop {
            self.skip()?;
            let Some(block) = self.block()? else {
                return Ok(None);
            };
            let Some(header) = Header::parse(block)? else {
                return Ok(None);
            };
            if matches!(header.kind(), b'L' | b'K' | b'x') {
                special_sum = special_sum.saturating_add(header.size()?);
                if special_sum > MAX_SPECIAL_SUM {
                    return Err(TarError::Malformed(
                        "a member has too many extended headers",
                    ));
                }
            }
            match header.kind() {
                b'L' => long_name = Some(self.special_name(&header)?),
                b'K' => long_link = Some(self.special_name(&header)?),
                b'x' => {
                    let records = self.special(&header)?;
                    pax.read(&records)?;
                }
                // Global headers say nothing that matters to files, and volume labels neither.
                b'g' | b'V' => self.set_data(header.size()?)?,
                _ => {
                    let names = (long_name.take(), long_link.take());
                    return self.entry(&header, names, pax).map(Some);
                }
            }
        }
    }

    /// Copies the next `length` bytes of the member's data.
    ///
    /// # Errors
    ///
    /// Fails when the archive ends before, or `to` does not take it.
    pub fn copy(&mut self, length: u64, to: &mut impl Write) -> Result<(), TarError> {
        let mut left = length.min(self.data_left);
        self.data_left -= left;
        while left > 0 {
            let available = self.fill()?;
            let n = usize::try_from(left).map_or(available.len(), |left| left.min(available.len()));
            to.write_all(&available[..n]).map_err(TarError::Write)?;
            self.reader.consume(n);
            left -= n as u64;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        header: &Header,
        (long_name, long_link): (Option<Vec<u8>>, Option<Vec<u8>>),
        mut pax: Pax,
    ) -> Result<Entry, TarError> {
        let path = pax
            .sparse
            .name
            .take()
            .or_else(|| pax.path.take())
            .or(long_name);
        let path = path.unwrap_or_else(|| header.name());
        let mut size = match pax.size {
            Some(size) => size,
            None => header.size()?,
        };
        let mut kind = kind_of(header.kind(), &path);
        let is_file = matches!(kind, EntryKind::File { .. } | EntryKind::Unknown(_));
        // A size on anything but files is there for information only.
        self.set_data(if is_file { size } else { 0 })?;
        if let EntryKind::File { sparse } = &mut kind {
            *sparse = self.sparse_map(header, &mut pax)?;
            size = sparse.as_ref().map_or(size, |map| map.real_size);
        } else {
            size = 0;
        }
        let seconds = u64::try_from(header.modified_seconds()?).unwrap_or(0);
        let is_device = matches!(kind, EntryKind::CharacterDevice | EntryKind::BlockDevice);
        Ok(Entry {
            path,
            link: pax
                .link_path
                .or(long_link)
                .unwrap_or_else(|| header.link_name()),
            mode: header.mode()? & 0o7777,
            uid: pax.uid.map_or_else(|| header.uid(), Ok)?,
            gid: pax.gid.map_or_else(|| header.gid(), Ok)?,
            modified: pax.modified.unwrap_or_else(|| Duration::from_secs(seconds)),
            size,
            device: if is_device { header.device()? } else { (0, 0) },
            xattrs: pax.xattrs,
            kind,
        })
    }

    fn sparse_map(
        &mut self,
        header: &Header,
        pax: &mut Pax,
    ) -> Result<Option<SparseMap>, TarError> {
        if header.kind() == b'S' && header.is_gnu() {
            let (mut pieces, mut more) = header.sparse()?;
            while more {
                let block = self.block()?.ok_or(CUT_SHORT)?;
                let (next, again) = sparse_extension(&block)?;
                sparse::extend(&mut pieces, next)?;
                more = again;
            }
            return SparseMap::new(pieces, header.sparse_real_size()?, self.data_left).map(Some);
        }
        let Some(real_size) = pax.sparse.real_size else {
            return Ok(None);
        };
        let pieces = if pax.sparse.map_in_data {
            self.map_in_data()?
        } else {
            match pax.sparse.map.take() {
                Some(numbers) => sparse::pair(&numbers)?,
                None => return Ok(None),
            }
        };
        SparseMap::new(pieces, real_size, self.data_left).map(Some)
    }

    /// Reads the map in front of the data: lines of decimal numbers, the first is the count.
    fn map_in_data(&mut self) -> Result<Vec<(u64, u64)>, TarError> {
        let (mut numbers, mut line, mut wanted) = (Vec::new(), Vec::new(), None);
        while wanted.is_none_or(|wanted| numbers.len() < wanted) {
            let mut block = Vec::with_capacity(BLOCK);
            self.copy(BLOCK as u64, &mut block)?;
            if block.len() < BLOCK {
                return Err(CUT_SHORT);
            }
            for byte in block {
                if byte != b'\n' {
                    if line.len() >= MAX_DIGITS {
                        return Err(TarError::Malformed("the map of a sparse file is wrong"));
                    }
                    line.push(byte);
                    continue;
                }
                let number = pax::decimal(&line)?;
                line.clear();
                match wanted {
                    None => {
                        let count = usize::try_from(number).unwrap_or(usize::MAX);
                        sparse::check_count(count)?;
                        wanted = Some(count * 2);
                    }
                    Some(wanted) if numbers.len() < wanted => numbers.push(number),
                    Some(_) => {}
                }
                if wanted.is_some_and(|wanted| numbers.len() == wanted) {
                    break;
                }
            }
        }
        sparse::pair(&numbers)
    }

    fn special_name(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let mut name = self.special(header)?;
        let end = name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    fn special(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let size = header.size()?;
        if size > MAX_SPECIAL {
            return Err(TarError::Malformed("a name or extended header is too long"));
        }
        self.set_data(size)?;
        let mut data = Vec::new();
        self.copy(size, &mut data)?;
        Ok(data)
    }

    fn set_data(&mut self, size: u64) -> Result<(), TarError> {
        let block = BLOCK as u64;
        if size > u64::MAX / 2 {
            return Err(TarError::Malformed("a file is too large"));
        }
        self.data_left = size;
        self.padding = size.next_multiple_of(block) - size;
        Ok(())
    }

    /// Goes to the end of the current member.
    fn skip(&mut self) -> Result<(), TarError> {
        self.copy(self.data_left, &mut io::sink())?;
        self.data_left = std::mem::take(&mut self.padding);
        self.copy(self.data_left, &mut io::sink())
    }

    /// Reads one block; `None` when the stream ends here.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let available = self.reader.fill_buf().map_err(TarError::Read)?;
            if available.is_empty() {
                return if filled == 0 {
                    Ok(None)
                } else {
                    Err(CUT_SHORT)
                };
            }
            let n = available.len().min(BLOCK - filled);
            block[filled..filled + n].copy_from_slice(&available[..n]);
            self.reader.consume(n);
            filled += n;
        }
        Ok(Some(block))
    }

    fn fill(&mut self) -> Result<&[u8], TarError> {
        let available = self.reader.fill_buf().map_err(TarError::Read)?;
        if available.is_empty() {
            return Err(CUT_SHORT);
        }
        Ok(available)
    }
}

const CUT_SHORT: TarError = TarError::Malformed("it is cut short");

fn kind_of(letter: u8, path: &[u8]) -> EntryKind {
    match letter {
        // Old archivers mark directories only by the slash.
        b'0' | 0 if path.ends_with(b"/") => EntryKind::Directory,
        b'0' | 0 | b'7' | b'S' => EntryKind::File { sparse: None },
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharacterDevice,
        b'4' => EntryKind::BlockDevice,
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        other => EntryKind::Unknown(other),
    }
}
