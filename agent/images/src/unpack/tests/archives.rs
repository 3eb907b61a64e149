//! Archives with exactly what a test wants in them.

use berth_archive::{NewEntry, TarWriter};

/// Writes an archive with exactly these members and their data.
pub(crate) fn archive(members: &[(NewEntry<'_>, &[u8])]) -> Vec<u8> {
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

pub(crate) fn file(path: &'static str) -> NewEntry<'static> {
    NewEntry {
        path: path.as_bytes(),
        kind: b'0',
        mode: 0o644,
        ..NewEntry::default()
    }
}
