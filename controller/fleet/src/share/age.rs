//! Files that only a passphrase opens, in the format of `age` (age-encryption.org/v1, recipient
//! `scrypt`), so that they can also be opened and made with that tool.
//!
//! The pieces come from `ring` (ChaCha20-Poly1305, HKDF, HMAC) and `scrypt`. Bundles are small, so
//! all of one is in memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// First line of every file.
const VERSION: &str = "age-encryption.org/v1\n";
/// What the salt of the passphrase begins with.
const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
/// How much work a guess of the passphrase is: 2 to this power, 128 MB of memory and half a
/// second.
const WORK: u8 = if cfg!(test) { 10 } else { 17 };
/// The most work that is done for a file of others.
const MAX_WORK: u8 = 20;
/// Bytes in a piece of the content.
const CHUNK: usize = 64 * 1024;
/// Bytes that each sealed piece is longer.
const TAG: usize = 16;
/// The longest header that is looked at.
const MAX_HEADER: usize = 4096;

/// A file cannot be opened or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is of another kind.
    #[error("not a file that a passphrase opens (age-encryption.org/v1 with scrypt)")]
    Format,
    /// Opening it would take more memory than it should.
    #[error("opening the file takes too much work (2^{0})")]
    Work(u8),
    /// The passphrase is another one.
    #[error("wrong passphrase")]
    Passphrase,
    /// Something was cut off or changed.
    #[error("the file is damaged or cut off")]
    Damaged,
    /// No random numbers, or no memory.
    #[error("the system gives no random numbers or no memory")]
    System,
}

/// Seals `content` with a passphrase.
pub(crate) fn seal(content: &[u8], passphrase: &str) -> Result<Vec<u8>, SealError> {
    let random = SystemRandom::new();
    let mut file_key = Zeroizing::new([0; 16]);
    let (mut salt, mut nonce) = ([0; 16], [0; 16]);
    for bytes in [&mut *file_key, &mut salt, &mut nonce] {
        random.fill(bytes).map_err(|_error| SealError::System)?;
    }
    let wrapping = cipher(&*stretch(passphrase, &salt, WORK)?)?;
    let mut wrapped = file_key.to_vec();
    wrapping
        .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut wrapped)
        .map_err(|_error| SealError::System)?;
    let header = format!(
        "{VERSION}-> scrypt {} {WORK}\n{}\n---",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(wrapped),
    );
    let mac = hmac::sign(&header_key(&file_key)?, header.as_bytes());
    let mut sealed = header.into_bytes();
    sealed.extend(format!(" {}\n", STANDARD_NO_PAD.encode(mac)).as_bytes());
    sealed.extend(nonce);
    let key = payload_key(&file_key, &nonce)?;
    let mut chunks = content.chunks(CHUNK).peekable();
    let mut number = 0;
    loop {
        let mut chunk = Zeroizing::new(chunks.next().unwrap_or_default().to_vec());
        let last = chunks.peek().is_none();
        key.seal_in_place_append_tag(chunk_nonce(number, last), Aad::empty(), &mut *chunk)
            .map_err(|_error| SealError::System)?;
        sealed.extend_from_slice(&chunk);
        if last {
            return Ok(sealed);
        }
        number += 1;
    }
}

/// Opens what [`seal`], or `age -p`, has made.
pub(crate) fn open(sealed: &[u8], passphrase: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (header, payload) = split(sealed)?;
    let wrapping = cipher(&*stretch(passphrase, &header.salt, header.work)?)?;
    let mut wrapped = Zeroizing::new(header.wrapped.to_vec());
    let opened = wrapping
        .open_in_place(zero_nonce(), Aad::empty(), &mut wrapped)
        .map_err(|_error| SealError::Passphrase)?;
    let mut file_key = Zeroizing::new([0; 16]);
    file_key.copy_from_slice(opened);
    hmac::verify(&header_key(&file_key)?, header.signed, &header.mac)
        .map_err(|_error| SealError::Damaged)?;
    if payload.len() < 16 + TAG {
        return Err(SealError::Damaged);
    }
    let (nonce, mut rest) = payload.split_at(16);
    let key = payload_key(&file_key, nonce)?;
    let mut content = Zeroizing::new(Vec::with_capacity(rest.len()));
    let mut number = 0;
    loop {
        let (chunk, left) = rest.split_at(rest.len().min(CHUNK + TAG));
        let last = left.is_empty();
        let mut chunk = Zeroizing::new(chunk.to_vec());
        let open = key
            .open_in_place(chunk_nonce(number, last), Aad::empty(), &mut chunk)
            .map_err(|_error| SealError::Damaged)?;
        content.extend_from_slice(open);
        if last {
            return Ok(content);
        }
        (rest, number) = (left, number + 1);
    }
}

/// What stands before the content.
struct Header<'a> {
    salt: [u8; 16],
    work: u8,
    wrapped: [u8; 32],
    /// What the last line vouches for.
    signed: &'a [u8],
    mac: [u8; 32],
}

/// Takes a file apart.
fn split(sealed: &[u8]) -> Result<(Header<'_>, &[u8]), SealError> {
    let head = &sealed[..sealed.len().min(MAX_HEADER)];
    let mut ends = head.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let mut line_start = 0;
    let mut line = || -> Result<(usize, &str), SealError> {
        let (end, _) = ends.next().ok_or(SealError::Format)?;
        let text =
            std::str::from_utf8(&head[line_start..end]).map_err(|_error| SealError::Format)?;
        let start = std::mem::replace(&mut line_start, end + 1);
        Ok((start, text))
    };
    if line()?.1 != VERSION.trim_end() {
        return Err(SealError::Format);
    }
    let stanza: Vec<&str> = line()?.1.split(' ').collect();
    let ["->", "scrypt", salt, work] = stanza[..] else {
        return Err(SealError::Format);
    };
    let wrapped = line()?.1;
    let (end, mac) = line()?;
    let mac = mac.strip_prefix("--- ").ok_or(SealError::Format)?;
    if work.starts_with(['0', '+']) {
        return Err(SealError::Format);
    }
    let header = Header {
        salt: decode(salt)?,
        work: work.parse().map_err(|_error| SealError::Format)?,
        wrapped: decode(wrapped)?,
        signed: &sealed[..end + 3],
        mac: decode(mac)?,
    };
    Ok((header, &sealed[line_start..]))
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], SealError> {
    let bytes = STANDARD_NO_PAD
        .decode(text)
        .map_err(|_error| SealError::Format)?;
    bytes.try_into().map_err(|_error| SealError::Format)
}

/// Makes a key of a passphrase.
fn stretch(passphrase: &str, salt: &[u8; 16], work: u8) -> Result<Zeroizing<[u8; 32]>, SealError> {
    if work > MAX_WORK {
        return Err(SealError::Work(work));
    }
    let params = scrypt::Params::new(work, 8, 1).map_err(|_error| SealError::Format)?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(
        passphrase.as_bytes(),
        &[LABEL, salt.as_slice()].concat(),
        &params,
        &mut *key,
    )
    .map_err(|_error| SealError::System)?;
    Ok(key)
}

/// The length of keys, as `ring` wants to be told it.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

fn derive(file_key: &[u8; 16], salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let mut key = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, salt)
        .extract(file_key)
        .expand(&[info], Length)
        .and_then(|material| material.fill(&mut *key))
        .map_err(|_error| SealError::System)?;
    Ok(key)
}

fn header_key(file_key: &[u8; 16]) -> Result<hmac::Key, SealError> {
    let key = derive(file_key, b"", b"header")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &*key))
}

fn payload_key(file_key: &[u8; 16], nonce: &[u8]) -> Result<LessSafeKey, SealError> {
    cipher(&*derive(file_key, nonce, b"payload")?)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_error| SealError::System)?;
    Ok(LessSafeKey::new(key))
}

/// The wrapping key is used once, so its nonce need not differ from any other.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn chunk_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_the_passphrase_only() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sealed = seal(&content, "open sesame").unwrap();
            assert_eq!(*open(&sealed, "open sesame").unwrap(), content, "{length}");
            assert!(matches!(
                open(&sealed, "open sesame "),
                Err(SealError::Passphrase)
            ));
        }
    }

    #[test]
    fn whatever_is_changed_or_cut_off_is_noticed() {
        let content = vec![7; CHUNK + 100];
        let sealed = seal(&content, "p").unwrap();
        let start = sealed.windows(4).position(|four| four == b"--- ").unwrap();
        for at in [0, 25, start + 10, start + 60, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            open(&changed, "p").unwrap_err();
        }
        // At the seam of two pieces, too.
        for length in [0, 10, start, sealed.len() - 1, sealed.len() - 100 - TAG] {
            open(&sealed[..length], "p").unwrap_err();
        }
        let longer = [&sealed[..], &[0; 40]].concat();
        assert!(matches!(open(&longer, "p"), Err(SealError::Damaged)));
    }

    /// Made by `age -p`, version 1.1.1.
    const OF_AGE: &str = "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBSYjlkbWlRQW5PdHdRRDRwblRIcFZBIDE4CndwckZx\
        dnBmTXFYRHUrNW1TL1dyVzJ3YW1rbE1lZHhwblh0K0FiazBmUGcKLS0tIGoxSnpjMkl0NHVXRVIxdlhSOXpOc0o3UGVX\
        WHFhalU1NzkvVTJLL3haSDgK1tssFOsZAZr9LZqP/+x6r0FlLiZzdbSGPmjHzJOdtiw8GRDhq822JFZw2HfyBhwQy+P3\
        fAyA9A==";

    #[test]
    fn file_of_another_program_opens() {
        let sealed = base64::engine::general_purpose::STANDARD
            .decode(OF_AGE)
            .unwrap();
        let opened = open(&sealed, "open sesame").unwrap();
        assert_eq!(opened.as_slice(), b"made by another program");
    }

    #[test]
    fn file_that_costs_too_much_is_refused_at_once() {
        let sealed = seal(b"x", "p").unwrap();
        let text = String::from_utf8_lossy(&sealed[..100]).into_owned();
        let costly = text.replace(&format!(" {WORK}\n"), " 30\n");
        let bytes = [costly.as_bytes(), &sealed[text.len()..]].concat();
        assert!(matches!(open(&bytes, "p"), Err(SealError::Work(30))));
    }
}
