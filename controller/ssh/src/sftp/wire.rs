//! Packets, byte for byte.

use bytes::{Buf as _, Bytes};

use super::SftpError;

pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const WRITE: u8 = 6;
pub(super) const SETSTAT: u8 = 9;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const REMOVE: u8 = 13;
pub(super) const MKDIR: u8 = 14;
pub(super) const REALPATH: u8 = 16;
pub(super) const STAT: u8 = 17;
pub(super) const RENAME: u8 = 18;
pub(super) const EXTENDED: u8 = 200;

const INIT: u8 = 1;
const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;

const HAS_SIZE: u32 = 1;
const HAS_OWNER: u32 = 2;
const HAS_MODE: u32 = 4;
const HAS_TIMES: u32 = 8;
const HAS_MORE: u32 = 0x8000_0000;

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Its length.
    pub size: Option<u64>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
    /// Kind and permissions, as in `st_mode`.
    pub mode: Option<u32>,
    /// Seconds of the last reading and writing.
    pub times: Option<(u32, u32)>,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A device, a socket or the like.
    Other,
}

impl Attributes {
    /// Only permissions.
    #[must_use]
    pub fn of_mode(mode: u32) -> Self {
        Self {
            mode: Some(mode),
            ..Self::default()
        }
    }

    /// Returns what the path names; a file where the host does not say.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.mode.map(|mode| mode & 0o170_000) {
            Some(0o040_000) => Kind::Directory,
            Some(0o100_000 | 0) | None => Kind::File,
            Some(_) => Kind::Other,
        }
    }
}

/// A packet that is being written.
pub(super) struct Packet {
    /// Its start is left free for length and number.
    bytes: Vec<u8>,
}

impl Packet {
    pub(super) fn hello() -> Self {
        Self {
            bytes: vec![0, 0, 0, 0, INIT],
        }
        .number(3)
    }

    pub(super) fn new(kind: u8) -> Self {
        Self {
            bytes: vec![0, 0, 0, 0, kind, 0, 0, 0, 0],
        }
    }

    pub(super) fn number(mut self, number: u32) -> Self {
        self.bytes.extend(number.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, number: u64) -> Self {
        self.bytes.extend(number.to_be_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(bytes);
        self
    }

    pub(super) fn attributes(self, attributes: &Attributes) -> Self {
        let has = |there: bool, flag| if there { flag } else { 0 };
        let flags = has(attributes.size.is_some(), HAS_SIZE)
            | has(attributes.owner.is_some(), HAS_OWNER)
            | has(attributes.mode.is_some(), HAS_MODE)
            | has(attributes.times.is_some(), HAS_TIMES);
        let mut packet = self.number(flags);
        if let Some(size) = attributes.size {
            packet = packet.long(size);
        }
        if let Some((user, group)) = attributes.owner {
            packet = packet.number(user).number(group);
        }
        if let Some(mode) = attributes.mode {
            packet = packet.number(mode);
        }
        if let Some((read, written)) = attributes.times {
            packet = packet.number(read).number(written);
        }
        packet
    }

    pub(super) fn with_id(mut self, id: u32) -> Vec<u8> {
        self.bytes[5..9].copy_from_slice(&id.to_be_bytes());
        self.finish()
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len() - 4).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }
}

/// Reads the answer to the first packet: the names of extensions.
pub(super) fn version(mut packet: Bytes) -> Result<Vec<String>, SftpError> {
    let nonsense =
        SftpError::Nonsense("no version of SFTP (does the login shell print something?)");
    if packet.is_empty() || packet.get_u8() != VERSION || number(&mut packet) != Some(3) {
        return Err(nonsense);
    }
    let mut names = Vec::new();
    while let (Some(name), Some(_value)) = (string(&mut packet), string(&mut packet)) {
        names.push(String::from_utf8_lossy(&name).into_owned());
    }
    Ok(names)
}

/// What the host says to one request.
pub(super) struct Answer {
    pub(super) id: u32,
    kind: u8,
    rest: Bytes,
}

impl Answer {
    pub(super) fn parse(mut packet: Bytes) -> Option<Self> {
        (packet.len() >= 5).then(|| Self {
            kind: packet.get_u8(),
            id: packet.get_u32(),
            rest: packet,
        })
    }

    /// Reads an answer that only says whether it was done.
    pub(super) fn status(mut self) -> Result<(), SftpError> {
        if self.kind != STATUS {
            return Err(SftpError::Nonsense(
                "another kind of answer than was asked for",
            ));
        }
        let code = number(&mut self.rest).ok_or(SftpError::Nonsense("an answer without a code"))?;
        let text = string(&mut self.rest).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        match code {
            0 => Ok(()),
            2 => Err(SftpError::Absent),
            3 => Err(SftpError::Denied),
            // For whoever looks at it, control characters are not text.
            code if text.is_empty() => Err(SftpError::Failed(format!("code {code}"))),
            _ => Err(SftpError::Failed(text.escape_debug().to_string())),
        }
    }

    /// Returns whether this says that there is no more.
    fn is_end(&self) -> bool {
        self.kind == STATUS && self.rest.starts_with(&1u32.to_be_bytes())
    }

    fn expect(self, kind: u8) -> Result<Bytes, SftpError> {
        if self.kind == kind {
            return Ok(self.rest);
        }
        self.status()?;
        Err(SftpError::Nonsense("done, but without what was asked for"))
    }

    pub(super) fn handle(self) -> Result<Bytes, SftpError> {
        string(&mut self.expect(HANDLE)?).ok_or(SftpError::Nonsense("no handle"))
    }

    /// Reads data; empty at the end.
    pub(super) fn data(self) -> Result<Bytes, SftpError> {
        if self.is_end() {
            return Ok(Bytes::new());
        }
        string(&mut self.expect(DATA)?).ok_or(SftpError::Nonsense("no data"))
    }

    pub(super) fn attributes(self) -> Result<Attributes, SftpError> {
        attributes(&mut self.expect(ATTRS)?).ok_or(SftpError::Nonsense("no attributes"))
    }

    /// Reads names; `None` when there are no more.
    pub(super) fn names(self) -> Result<Option<Vec<Vec<u8>>>, SftpError> {
        if self.is_end() {
            return Ok(None);
        }
        let mut rest = self.expect(NAME)?;
        let cut = || SftpError::Nonsense("a list of names that is cut off");
        let n_names = number(&mut rest).ok_or_else(cut)?;
        let mut names = Vec::new();
        for _ in 0..n_names {
            let name = string(&mut rest).ok_or_else(cut)?;
            string(&mut rest).ok_or_else(cut)?;
            attributes(&mut rest).ok_or_else(cut)?;
            names.push(name.to_vec());
        }
        Ok(Some(names))
    }
}

fn number(bytes: &mut Bytes) -> Option<u32> {
    (bytes.len() >= 4).then(|| bytes.get_u32())
}

fn string(bytes: &mut Bytes) -> Option<Bytes> {
    let length = number(bytes)? as usize;
    (bytes.len() >= length).then(|| bytes.split_to(length))
}

fn attributes(bytes: &mut Bytes) -> Option<Attributes> {
    let flags = number(bytes)?;
    let mut found = Attributes::default();
    if flags & HAS_SIZE != 0 {
        found.size = (bytes.len() >= 8).then(|| bytes.get_u64());
        found.size?;
    }
    if flags & HAS_OWNER != 0 {
        found.owner = Some((number(bytes)?, number(bytes)?));
    }
    if flags & HAS_MODE != 0 {
        found.mode = Some(number(bytes)?);
    }
    if flags & HAS_TIMES != 0 {
        found.times = Some((number(bytes)?, number(bytes)?));
    }
    if flags & HAS_MORE != 0 {
        for _ in 0..number(bytes)? {
            string(bytes)?;
            string(bytes)?;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_survive_the_wire() {
        let all = Attributes {
            size: Some(1 << 40),
            owner: Some((7, 8)),
            mode: Some(0o100_644),
            times: Some((1, 2)),
        };
        for attributes_in in [all, Attributes::default(), Attributes::of_mode(0o40_755)] {
            let packet = Packet { bytes: Vec::new() }.attributes(&attributes_in);
            let mut bytes = Bytes::from(packet.bytes);
            assert_eq!(attributes(&mut bytes), Some(attributes_in));
            assert!(bytes.is_empty());
        }
        assert_eq!(all.kind(), Kind::File);
        assert_eq!(Attributes::of_mode(0o20_644).kind(), Kind::Other);
    }

    #[test]
    fn packets_that_are_cut_off_or_lie_are_errors() {
        let answer = |kind: u8, rest: &[u8]| {
            let mut bytes = vec![kind, 0, 0, 0, 9];
            bytes.extend(rest);
            Answer::parse(bytes.into()).unwrap()
        };
        assert!(Answer::parse(Bytes::from_static(&[101, 0, 0, 0])).is_none());
        answer(DATA, &[0, 0, 1, 0, 5]).data().unwrap_err();
        answer(NAME, &[0xff, 0xff, 0xff, 0xff]).names().unwrap_err();
        answer(ATTRS, &[0, 0, 0, 1, 5]).attributes().unwrap_err();
        answer(STATUS, &[0, 0, 0, 0]).handle().unwrap_err();
        answer(HANDLE, &[0, 0, 0, 0]).status().unwrap_err();
        assert_eq!(answer(STATUS, &[0, 0, 0, 1]).data().unwrap(), Bytes::new());
        version(Bytes::from_static(b"Welcome to this host")).unwrap_err();
    }
}
