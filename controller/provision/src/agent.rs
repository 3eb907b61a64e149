//! The agent's executable on this side: found, hashed, compressed once.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// Names the executable when it is not in one of the usual places.
const VARIABLE: &str = "BERTH_AGENT";
/// Where packages put it.
const PACKAGED: &str = "/usr/local/lib/berth/berthd";

/// The agent's executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentBinary {
    path: PathBuf,
    sha256: String,
    size: u64,
    architecture: String,
}

/// The agent's executable cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinaryError {
    /// It is in none of the places.
    #[error(
        "the agent's executable berthd was not found; looked at ${VARIABLE}, beside this program \
         ({}) and at {PACKAGED}",
        beside.display()
    )]
    Absent {
        /// Where it would be beside this program.
        beside: PathBuf,
    },
    /// It cannot be read, or its compressed copy cannot be written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not an executable for Linux.
    #[error("{} is not an executable for Linux", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
}

impl AgentBinary {
    /// Finds the executable: `$BERTH_AGENT`, `berthd` beside this program, or where packages put it.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be used.
    pub fn find() -> Result<Self, BinaryError> {
        if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            return Self::open(Path::new(&path));
        }
        let program = env::current_exe().unwrap_or_default();
        let beside = program.with_file_name("berthd");
        for path in [beside.as_path(), Path::new(PACKAGED)] {
            if path.is_file() {
                return Self::open(path);
            }
        }
        Err(BinaryError::Absent { beside })
    }

    /// Reads the executable at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is none for Linux.
    pub fn open(path: &Path) -> Result<Self, BinaryError> {
        let failed = |source| BinaryError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        let mut head = [0; 20];
        let architecture = file
            .read_exact(&mut head)
            .ok()
            .and_then(|()| architecture(&head));
        let Some(architecture) = architecture else {
            return Err(BinaryError::Format {
                path: path.to_owned(),
            });
        };
        let mut hash = Sha256::new();
        hash.update(head);
        let mut size = head.len() as u64;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                n_read => {
                    hash.update(&buffer[..n_read]);
                    size += n_read as u64;
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            sha256: hex::encode(hash.finalize()),
            size,
            architecture: architecture.to_owned(),
        })
    }

    /// Returns its SHA-256, hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the architecture that it is for, as `uname -m` says it.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Returns the executable's own path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a gzip of the executable in `cache`, made when it is not there.
    ///
    /// The name has the digest; what is left of other versions is removed.
    ///
    /// # Errors
    ///
    /// When the executable cannot be read any more or the cache cannot be written.
    pub fn compressed(&self, cache: &Path) -> Result<PathBuf, BinaryError> {
        let path = cache.join(format!("berthd-{}.gz", self.sha256));
        if path.is_file() {
            return Ok(path);
        }
        let failed = |source| BinaryError::Io {
            action: "write",
            path: path.clone(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(cache)
            .map_err(failed)?;
        let temporary = tempfile::NamedTempFile::new_in(cache).map_err(failed)?;
        let mut encoder = GzEncoder::new(temporary, Compression::new(6));
        let mut source = File::open(&self.path).map_err(|source| BinaryError::Io {
            action: "read",
            path: self.path.clone(),
            source,
        })?;
        io::copy(&mut source, &mut encoder).map_err(failed)?;
        let temporary = encoder.finish().map_err(failed)?;
        temporary
            .persist(&path)
            .map_err(|error| failed(error.error))?;
        remove_others(cache, &path);
        Ok(path)
    }
}

fn remove_others(cache: &Path, keep: &Path) {
    let old = fs::read_dir(cache)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    for path in old.filter(|path| path != keep) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("berthd-") && name.ends_with(".gz") {
            // Best effort: it is only a cache, and another process may have been first.
            let _ = fs::remove_file(&path);
        }
    }
}

/// Reads the architecture from the head of an ELF file, in the words of `uname -m`.
fn architecture(head: &[u8; 20]) -> Option<&'static str> {
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    match u16::from_le_bytes([head[18], head[19]]) {
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        243 => Some("riscv64"),
        3 => Some("i686"),
        40 => Some("armv7l"),
        _ => Some("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn executable_is_hashed_and_compressed_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = env::current_exe().unwrap();
        let agent = AgentBinary::open(&path).unwrap();
        let content = fs::read(&path).unwrap();
        assert_eq!(agent.sha256(), hex::encode(Sha256::digest(&content)));
        assert_eq!(agent.architecture(), env::consts::ARCH);
        let small = directory.path().join("small");
        fs::write(&small, [b"\x7fELF".as_slice(), &[0; 100]].concat()).unwrap();
        let agent = AgentBinary::open(&small).unwrap();
        let cache = directory.path().join("cache");
        fs::create_dir(&cache).unwrap();
        fs::write(cache.join("berthd-old.gz"), "").unwrap();
        let compressed = agent.compressed(&cache).unwrap();
        let mut back = Vec::new();
        GzDecoder::new(File::open(&compressed).unwrap())
            .read_to_end(&mut back)
            .unwrap();
        assert_eq!(back, fs::read(&small).unwrap());
        fs::remove_file(&small).unwrap();
        assert_eq!(agent.compressed(&cache).unwrap(), compressed);
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1);
    }

    #[test]
    fn script_is_no_agent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("berthd");
        fs::write(&path, "#!/bin/sh\necho hello, I am longer than a head\n").unwrap();
        assert!(matches!(
            AgentBinary::open(&path),
            Err(BinaryError::Format { .. })
        ));
    }
}
