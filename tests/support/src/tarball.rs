//! Tar files with any entry at all, also such as no honest program writes.

use std::io::Write as _;

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    name: String,
    kind: u8,
    link: String,
    mode: u32,
    body: Vec<u8>,
    device: (u32, u32),
}

// === impl Entry ===

impl Entry {
    /// A regular file with mode 0644.
    #[must_use]
    pub fn file(name: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::bare(name, b'0', 0o644)
        }
    }

    /// A directory with mode 0755.
    #[must_use]
    pub fn directory(name: &str) -> Self {
        Self::bare(name, b'5', 0o755)
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(name: &str, target: &str) -> Self {
        Self {
            link: target.to_owned(),
            ..Self::bare(name, b'2', 0o777)
        }
    }

    /// A hard link to an earlier entry, or so it says.
    #[must_use]
    pub fn hardlink(name: &str, target: &str) -> Self {
        Self {
            link: target.to_owned(),
            ..Self::bare(name, b'1', 0o644)
        }
    }

    /// A character device.
    #[must_use]
    pub fn character_device(name: &str, major: u32, minor: u32) -> Self {
        Self {
            device: (major, minor),
            ..Self::bare(name, b'3', 0o666)
        }
    }

    /// The same with another mode.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    fn bare(name: &str, kind: u8, mode: u32) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            link: String::new(),
            mode,
            body: Vec::new(),
            device: (0, 0),
        }
    }

    /// Written byte by byte, since libraries refuse the names that the tests need.
    fn header(&self) -> [u8; 512] {
        let mut header = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, self.name.as_bytes());
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, b"0000000\x000000000\0");
        put(124, format!("{:011o}\0", self.body.len()).as_bytes());
        put(136, format!("{:011o}\0", 1_700_000_000).as_bytes());
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, self.link.as_bytes());
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, format!("{:07o}\0", self.device.1).as_bytes());
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }
}

/// Returns the tar of some entries.
///
/// # Panics
///
/// When a name is longer than the old header's 100 bytes.
#[must_use]
pub fn tarball(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        assert!(
            entry.name.len() < 100 && entry.link.len() < 100,
            "name too long: {}",
            entry.name
        );
        tar.extend_from_slice(&entry.header());
        tar.write_all(&entry.body).expect("memory takes all");
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}
