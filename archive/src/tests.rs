//! Reading what others write, and refusing what nobody should.

use std::io::{self, Read as _};

use super::{EntryKind, Holes, NewEntry, SparseMap, TarError, TarReader, TarWriter};

/// Writes an archive with exactly these members and their data.
fn archive(members: &[(NewEntry<'_>, &[u8])]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, data) in members {
        let entry = NewEntry {
            size: if data.is_empty() {
                entry.size
            } else {
                data.len() as u64
            },
            path: entry.path,
            link: entry.link,
            xattrs: entry.xattrs,
            ..*entry
        };
        writer.entry(&entry).expect("header");
        writer
            .data(data.len() as u64, &mut &data[..])
            .expect("data");
    }
    writer.finish().expect("end")
}

fn file(path: &'static str) -> NewEntry<'static> {
    NewEntry {
        path: path.as_bytes(),
        kind: b'0',
        mode: 0o644,
        ..NewEntry::default()
    }
}

fn read_all(bytes: &[u8]) -> Result<Vec<(String, EntryKind, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(bytes);
    let mut found = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut data = Vec::new();
        reader.copy(u64::MAX, &mut data)?;
        found.push((
            String::from_utf8_lossy(&entry.path).into_owned(),
            entry.kind,
            data,
        ));
    }
    Ok(found)
}

#[test]
fn what_is_written_is_read_back() {
    let long = "d/".repeat(120) + "file";
    let xattrs = [(b"user.key".to_vec(), b"a\n=\0value".to_vec())];
    let entry = NewEntry {
        path: long.as_bytes(),
        uid: 3_000_000,
        modified_seconds: 1 << 40,
        xattrs: &xattrs,
        ..file("")
    };
    let bytes = archive(&[(entry, b"data")]);
    let mut reader = TarReader::new(&bytes[..]);
    let entry = reader.next().expect("read").expect("a member");
    assert_eq!(entry.path, long.as_bytes());
    assert_eq!((entry.uid, entry.size), (3_000_000, 4));
    assert_eq!(entry.modified.as_secs(), 1 << 40);
    assert_eq!(entry.xattrs, xattrs);
    assert!(reader.next().expect("read").is_none());
}

#[test]
fn an_archive_without_end_mark_ends_with_its_last_member() {
    let bytes = archive(&[(file("a"), b"1")]);
    let found = read_all(&bytes[..1024]).expect("read");
    assert_eq!(
        found,
        [(
            "a".to_owned(),
            EntryKind::File { sparse: None },
            b"1".to_vec()
        )]
    );
}

#[test]
fn archives_that_are_cut_short_or_damaged_are_refused() {
    let bytes = archive(&[(file("a"), &[1; 700])]);
    for length in [1, 511, 513, 1100] {
        assert!(
            matches!(read_all(&bytes[..length]), Err(TarError::Malformed(_))),
            "{length}"
        );
    }
    let mut damaged = bytes;
    damaged[0] = b'b';
    assert!(matches!(read_all(&damaged), Err(TarError::Malformed(_))));
}

#[test]
fn a_long_name_that_claims_gigabytes_takes_no_memory() {
    let header = NewEntry {
        path: b"././@LongLink",
        kind: b'L',
        size: 8 << 30,
        ..NewEntry::default()
    };
    let mut bytes = Vec::new();
    TarWriter::new(&mut bytes).entry(&header).expect("header");
    // An endless reader: whoever believed the length would not come back.
    let endless = io::BufReader::new(bytes.as_slice().chain(io::repeat(b'x')));
    assert!(matches!(
        TarReader::new(endless).next(),
        Err(TarError::Malformed(_))
    ));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4096)) {
        let _ = read_all(&bytes);
    }

    #[test]
    fn no_changed_byte_makes_the_reader_panic(at in 0_usize..3072, value in proptest::num::u8::ANY) {
        let xattrs = [(b"user.k".to_vec(), b"v".to_vec())];
        let mut bytes = archive(&[(NewEntry { xattrs: &xattrs, ..file("a") }, b"data")]);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let _ = read_all(&bytes);
    }
}

#[test]
fn a_file_with_holes_is_read_back_with_its_map() {
    let holes = Holes {
        pieces: vec![(4096, 700), (1 << 20, 3), (5 << 30, 0)],
    };
    let entry = NewEntry {
        size: 5 << 30,
        ..file("a")
    };
    let mut writer = TarWriter::new(Vec::new());
    writer.sparse_entry(&entry, &holes).expect("header");
    writer.get_mut().extend_from_slice(&[7; 703]);
    writer.pad(holes.stored()).expect("padding");
    writer.entry(&file("b")).expect("header");
    let bytes = writer.finish().expect("end");
    let mut reader = TarReader::new(&bytes[..]);
    let entry = reader.next().expect("read").expect("a member");
    assert_eq!((entry.path.as_slice(), entry.size), (&b"a"[..], 5 << 30));
    let expected = SparseMap {
        pieces: holes.pieces,
        real_size: 5 << 30,
    };
    assert_eq!(
        entry.kind,
        EntryKind::File {
            sparse: Some(expected)
        }
    );
    let mut data = Vec::new();
    reader.copy(u64::MAX, &mut data).expect("data");
    assert_eq!(data, [7; 703]);
    let next = reader.next().expect("read").expect("a member");
    assert_eq!(next.path, b"b");
}
