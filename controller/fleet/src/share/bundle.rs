//! What travels when a machine is handed to somebody else: a few small files in a tar, described
//! by a manifest.
//!
//! Whoever reads a bundle may have got it from anybody. So names are plain, files are regular,
//! numbers and sizes are bounded, and nothing touches the disk before all of it was read.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use serde::{Deserialize, Serialize};

/// The version of the manifest's format.
const FORMAT: u32 = 1;
/// The manifest's name in the archive.
const MANIFEST: &str = "manifest.json";
/// The largest file that travels: records, keys and certificates are far smaller, disks far
/// larger.
pub(crate) const MAX_FILE: u64 = 256 * 1024;
/// The most files that travel.
const MAX_FILES: usize = 128;
/// The largest bundle that is looked at.
pub(crate) const MAX_BUNDLE: u64 = 16 * 1024 * 1024;

/// How a machine is reached, for operators that lack its driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    /// The machine's address.
    pub(crate) ip: String,
    /// The port of its engine.
    pub(crate) engine_port: u16,
    /// Where its SSH server is; empty when there is none.
    pub(crate) ssh_host: String,
    /// Its port.
    pub(crate) ssh_port: u16,
    /// Whom to log in as.
    pub(crate) ssh_user: String,
    /// The file of the bundle with the private key; empty for the operator's own keys.
    pub(crate) ssh_key: String,
}

/// What a bundle is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    /// The format's version.
    pub(crate) format: u32,
    /// The machine's name.
    pub(crate) name: String,
    /// Its driver.
    pub(crate) driver: String,
    /// How it is reached.
    pub(crate) facts: Facts,
    /// Whether it lives on the computer of whoever exported it.
    pub(crate) local: bool,
}

/// All of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) manifest: Manifest,
    /// Files of the machine's folder by name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// An archive is no bundle, or one that should not be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It cannot be read as an archive.
    #[error("not an archive")]
    Archive(#[source] std::io::Error),
    /// An entry is not a plain file of the machine's folder.
    #[error("entry {name:?} {problem}")]
    Entry {
        /// The entry.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are too many entries.
    #[error("more than {MAX_FILES} files")]
    TooMany,
    /// There is no manifest, or it makes no sense.
    #[error("no manifest that this berth understands")]
    Manifest,
    /// It was made by a later berth.
    #[error("the bundle has format {0}, which a later berth has made")]
    Future(u32),
}

impl Bundle {
    /// Returns the archive.
    pub(crate) fn pack(&self) -> Result<Vec<u8>, BundleError> {
        let manifest = Manifest {
            format: FORMAT,
            ..self.manifest.clone()
        };
        let manifest = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| BundleError::Archive(error.into()))?;
        let mut archive = tar::Builder::new(Vec::new());
        let all = self
            .files
            .iter()
            .map(|(name, content)| (name.as_str(), content));
        for (name, content) in [(MANIFEST, &manifest)].into_iter().chain(all) {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            archive
                .append_data(&mut header, name, Cursor::new(content))
                .map_err(BundleError::Archive)?;
        }
        archive.into_inner().map_err(BundleError::Archive)
    }

    /// Reads an archive.
    pub(crate) fn unpack(archive: &[u8]) -> Result<Self, BundleError> {
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries().map_err(BundleError::Archive)? {
            let mut entry = entry.map_err(BundleError::Archive)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let wrong = |problem| BundleError::Entry {
                name: name.clone(),
                problem,
            };
            if !entry.header().entry_type().is_file() {
                return Err(wrong("is no plain file"));
            }
            if !is_plain(&name) {
                return Err(wrong("is no name of a file in a machine's folder"));
            }
            if entry.size() > MAX_FILE {
                return Err(wrong("is too large"));
            }
            if files.len() == MAX_FILES {
                return Err(BundleError::TooMany);
            }
            let mut content = Vec::new();
            entry
                .read_to_end(&mut content)
                .map_err(BundleError::Archive)?;
            if files.insert(name.clone(), content).is_some() {
                return Err(wrong("is there twice"));
            }
        }
        let manifest = files.remove(MANIFEST).ok_or(BundleError::Manifest)?;
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|_error| BundleError::Manifest)?;
        match manifest.format {
            0 => Err(BundleError::Manifest),
            FORMAT => Ok(Self { manifest, files }),
            later => Err(BundleError::Future(later)),
        }
    }
}

/// Returns whether a name can only be that of a file in the very folder.
pub(crate) fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'@' | b'+')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            // Past the checks of the library, as somebody with other tools would do it.
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            if kind.is_symlink() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn packed_bundle_is_unpacked_as_it_was() {
        let mut bundle = Bundle::default();
        bundle.manifest.format = FORMAT;
        bundle.manifest.name = "demo".to_owned();
        bundle.files.insert("id_rsa".to_owned(), vec![1, 2, 3]);
        bundle.files.insert("a".repeat(120), Vec::new());
        assert_eq!(Bundle::unpack(&bundle.pack().unwrap()).unwrap(), bundle);
    }

    #[test]
    fn hostile_archives_are_refused() {
        let file = tar::EntryType::Regular;
        for name in [
            "../x", "/etc/x", "a/b", "..", ".hidden", "-rf", "a b", "x\n",
        ] {
            let error = Bundle::unpack(&archive(&[(name, file, b"x")])).unwrap_err();
            assert!(
                matches!(error, BundleError::Entry { .. }),
                "{name:?}: {error}"
            );
        }
        for kind in [
            tar::EntryType::Symlink,
            tar::EntryType::Link,
            tar::EntryType::Char,
            tar::EntryType::Directory,
        ] {
            let error = Bundle::unpack(&archive(&[("x", kind, b"")])).unwrap_err();
            assert!(matches!(error, BundleError::Entry { .. }), "{kind:?}");
        }
        let large = vec![0; usize::try_from(MAX_FILE).unwrap() + 1];
        Bundle::unpack(&archive(&[("x", file, &large)])).unwrap_err();
        Bundle::unpack(&archive(&[("x", file, b""), ("x", file, b"")])).unwrap_err();
        let names: Vec<String> = (0..=MAX_FILES).map(|at| format!("f{at}")).collect();
        let many: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), file, &b""[..]))
            .collect();
        assert!(matches!(
            Bundle::unpack(&archive(&many)),
            Err(BundleError::TooMany)
        ));
        let manifest = |text: &[u8]| Bundle::unpack(&archive(&[(MANIFEST, file, text)]));
        assert!(matches!(manifest(b"{}"), Err(BundleError::Manifest)));
        assert!(matches!(
            manifest(b"{\"format\":9}"),
            Err(BundleError::Future(9))
        ));
        let cut = archive(&[(MANIFEST, file, b"{\"format\":1}"), ("x", file, &[7; 2000])]);
        Bundle::unpack(&cut[..cut.len() - 3000]).unwrap_err();
        Bundle::unpack(b"not a tar at all").unwrap_err();
    }
}
