//! Leases on disk: one small file each, below the directory that is emptied when the machine boots.
//!
//! They are not in the state database on purpose. A lease is worth nothing after a reboot, which no
//! container survives; it only has to outlive the agent's process. A file in the kernel's memory does
//! that without waiting for a disk, and waiting would take longer than all the rest of an attach.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::lease::Lease;

/// The directory of the lease files.
#[derive(Debug, Clone)]
pub(crate) struct LeaseFiles {
    directory: PathBuf,
}

/// What a file holds. An agent that was upgraded reads the files of its predecessor.
#[derive(Debug, Serialize, Deserialize)]
struct Content<L> {
    version: u32,
    lease: L,
}

const VERSION: u32 = 1;

/// Begins the names of files that are not complete yet; no id begins like that.
const INCOMPLETE: &str = ".new-";

// === impl LeaseFiles ===

impl LeaseFiles {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)?;
        Ok(Self { directory })
    }

    /// Writes the file whole or not at all, as far as a killed agent is concerned.
    pub(crate) fn put(&self, id: &str, lease: &Lease) -> io::Result<()> {
        let content = Content {
            version: VERSION,
            lease,
        };
        let incomplete = self.directory.join(format!("{INCOMPLETE}{id}"));
        fs::write(&incomplete, serde_json::to_vec(&content)?)?;
        fs::rename(&incomplete, self.directory.join(id))
    }

    /// Removes the file; that there is none is fine.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads all leases. A file that cannot be understood is removed: it is of no use to anybody, and
    /// what it was about is found among the kernel's leftovers.
    pub(crate) fn list(&self) -> io::Result<Vec<(String, Lease)>> {
        let mut leases = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let content = fs::read(&path)?;
            match serde_json::from_slice::<Content<Lease>>(&content) {
                Ok(content) if content.version == VERSION && !name.starts_with(INCOMPLETE) => {
                    leases.push((name.into_owned(), content.lease.upgraded()));
                }
                _ => {
                    tracing::warn!(path = %path.display(), "removing a file that is not a lease");
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(leases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::EndpointLease;
    use crate::{NetworkMode, Protocol, PublishedPort};

    fn lease() -> Lease {
        let mut lease = Lease::new(NetworkMode::Bridge, Vec::new());
        lease.endpoints = vec![EndpointLease {
            network: "bridge".to_owned(),
            network_name: "bridge".to_owned(),
            interface: "eth0".to_owned(),
            peer: "bv0a000002".to_owned(),
            addresses: vec![("10.0.0.2".parse().unwrap(), "10.0.0.0/24".parse().unwrap())],
            gateways: vec!["10.0.0.1".parse().unwrap()],
            mac: Some([2, 0x42, 10, 0, 0, 2]),
            ..EndpointLease::default()
        }];
        lease.ports = vec![PublishedPort {
            host_ip: "0.0.0.0".parse().unwrap(),
            host_port: 8080,
            container_port: 80,
            protocol: Protocol::Tcp,
        }];
        lease
    }

    #[test]
    fn leases_read_back_until_they_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let files = LeaseFiles::open(directory.path().join("leases")).unwrap();
        files.put("one", &lease()).unwrap();
        files.put("one", &lease()).unwrap();
        assert_eq!(files.list().unwrap(), [("one".to_owned(), lease())]);
        files.remove("one").unwrap();
        files.remove("one").unwrap();
        assert_eq!(files.list().unwrap(), []);
    }

    #[test]
    fn the_format_of_agents_with_one_network_stays_readable() {
        let directory = tempfile::tempdir().unwrap();
        let files = LeaseFiles::open(directory.path().to_owned()).unwrap();
        let text = r#"{"version":1,"lease":{"mode":"bridge","address":["10.0.0.2","10.0.0.0/24"],"ports":[
            {"host_ip":"0.0.0.0","host_port":8080,"container_port":80,"protocol":"tcp"}]}}"#;
        fs::write(directory.path().join("one"), text).unwrap();
        assert_eq!(files.list().unwrap(), [("one".to_owned(), lease())]);
    }

    #[test]
    fn files_of_a_killed_or_unknown_writer_are_cleared_away() {
        let directory = tempfile::tempdir().unwrap();
        let files = LeaseFiles::open(directory.path().to_owned()).unwrap();
        files.put("one", &lease()).unwrap();
        fs::rename(
            directory.path().join("one"),
            directory.path().join(".new-one"),
        )
        .unwrap();
        fs::write(directory.path().join("cut"), r#"{"version":1,"le"#).unwrap();
        fs::write(
            directory.path().join("future"),
            r#"{"version":2,"lease":{}}"#,
        )
        .unwrap();
        assert_eq!(files.list().unwrap(), []);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
