//! The register of all sandbox machines of this host, whatever store they belong to.
//!
//! It says who has which address, and who is the last one and has to turn off the light: the
//! bridge, the table in the packet filter, the forwarding of packets. It is a directory of small
//! files that only changes under one lock.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use berth_provisioners_api::DriverError;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::failure::Doing as _;
use crate::identity::Identity;
use crate::subnet::Subnet;

const ROOT: &str = "/var/lib/berth-sandbox";
const LOCK: &str = "lock";

/// A machine in the register.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The identity on this host.
    pub(crate) id: Identity,
    /// The machine's directory in its store.
    pub(crate) directory: PathBuf,
    /// The network.
    pub(crate) subnet: Subnet,
    /// The address in it.
    pub(crate) address: Ipv4Addr,
}

/// The register, held by this process alone.
#[derive(Debug)]
pub(crate) struct Register {
    root: PathBuf,
    lock: Flock<File>,
}

impl Register {
    /// Waits for its turn and holds the register until dropped.
    pub(crate) fn hold() -> Result<Self, DriverError> {
        Self::hold_at(Path::new(ROOT))
    }

    fn hold_at(root: &Path) -> Result<Self, DriverError> {
        let path = root.join(LOCK);
        loop {
            let lock = open_lock(root, &path)
                .doing(|| format!("cannot lock register {}", root.display()))?;
            // The last machine removes the lock's file, perhaps while others wait for it.
            let held = lock.metadata().map(|data| data.ino()).ok();
            if held.is_some() && held == fs::metadata(&path).map(|data| data.ino()).ok() {
                return Ok(Self {
                    root: root.to_owned(),
                    lock,
                });
            }
        }
    }

    /// Returns all entries that there are at this moment, without a turn of its own and without
    /// making anything.
    pub(crate) fn peek() -> Result<Vec<Entry>, DriverError> {
        let root = Path::new(ROOT);
        match fs::read_dir(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error)
                .doing(|| format!("cannot read register {}", root.display()))
                .map_err(|error: DriverError| error.with_hint("run the command with sudo")),
            _ => entries_in(root),
        }
    }

    /// Returns all entries; what cannot be read is not one.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, DriverError> {
        entries_in(&self.root)
    }

    /// Gives machine `id` the address that it has already, `wanted` if it is free, or the lowest
    /// free one.
    pub(crate) fn allocate(
        &self,
        id: &Identity,
        directory: &Path,
        subnet: Subnet,
        wanted: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, DriverError> {
        let entries = self.entries()?;
        let own = entries.iter().find(|entry| entry.id == *id);
        if let Some(own) = own
            && own.directory != directory
            && own.directory.exists()
        {
            return Err(DriverError::refused(format!(
                "identity {} belongs to the machine in {}",
                id.as_str(),
                own.directory.display()
            )));
        }
        refuse_overlap(&entries, id, subnet)?;
        let taken = |address: Ipv4Addr| {
            entries
                .iter()
                .any(|entry| entry.id != *id && entry.address == address)
        };
        let preferred = own.map(|entry| entry.address).or(wanted);
        let address = preferred
            .filter(|address| subnet.contains(*address) && !taken(*address))
            .or_else(|| subnet.machines().find(|address| !taken(*address)))
            .ok_or_else(|| {
                DriverError::refused(format!("network {subnet} has no free address"))
                    .with_hint("choose a larger one with --sandbox-subnet")
            })?;
        self.write(&Entry {
            id: id.clone(),
            directory: directory.to_owned(),
            subnet,
            address,
        })?;
        Ok(address)
    }

    /// Strikes machine `id` out, if it is there.
    pub(crate) fn strike(&self, id: &Identity) -> Result<(), DriverError> {
        match fs::remove_file(self.entry_path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).doing(|| format!("cannot strike {} out of the register", id.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// Returns a place for a note that goes with the register.
    pub(crate) fn note(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Lets the register go, and removes it when nothing is in it.
    pub(crate) fn release(self) -> Result<(), DriverError> {
        let only_lock = fs::read_dir(&self.root)
            .doing(|| format!("cannot read register {}", self.root.display()))?
            .flatten()
            .all(|file| file.file_name() == LOCK);
        if only_lock {
            // In this order: whoever waits for the lock sees that its file is not the one any more.
            let _gone = fs::remove_file(self.root.join(LOCK));
            let _somebody_came = fs::remove_dir(&self.root);
        }
        drop(self.lock);
        Ok(())
    }

    fn write(&self, entry: &Entry) -> Result<(), DriverError> {
        let path = self.entry_path(&entry.id);
        let fresh = path.with_extension("new");
        let doing = || format!("cannot write {}", path.display());
        let text = serde_json::to_vec(entry).doing(doing)?;
        fs::write(&fresh, text).doing(doing)?;
        fs::rename(&fresh, &path).doing(doing)
    }

    fn entry_path(&self, id: &Identity) -> PathBuf {
        self.root.join(format!("{}.machine", id.as_str()))
    }
}

fn entries_in(root: &Path) -> Result<Vec<Entry>, DriverError> {
    let doing = || format!("cannot read register {}", root.display());
    let mut entries = Vec::new();
    for file in fs::read_dir(root).doing(doing)? {
        let path = file.doing(doing)?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "machine")
        {
            continue;
        }
        let entry = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice::<Entry>(&text).ok());
        match entry {
            Some(entry) => entries.push(entry),
            // Struck out since the directory was read, where that goes on beside us.
            None if !path.exists() => {}
            None => tracing::warn!(path = %path.display(), "unreadable entry in the register"),
        }
    }
    Ok(entries)
}

fn open_lock(root: &Path, path: &Path) -> io::Result<Flock<File>> {
    let mut attempts = 0;
    let file = loop {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)?;
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path);
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < 100 => {
                attempts += 1;
            }
            result => break result?,
        }
    };
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_file, errno)| errno.into())
}

fn refuse_overlap(entries: &[Entry], id: &Identity, subnet: Subnet) -> Result<(), DriverError> {
    let clash = entries
        .iter()
        .find(|entry| entry.id != *id && entry.subnet != subnet && entry.subnet.overlaps(subnet));
    match clash {
        None => Ok(()),
        Some(entry) => Err(DriverError::refused(format!(
            "network {subnet} overlaps network {} of other machines",
            entry.subnet
        ))
        .with_hint("choose another one with --sandbox-subnet")),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn subnet() -> Subnet {
        "10.7.0.0/24".parse().unwrap()
    }

    fn identity(name: &str) -> Identity {
        Identity::of_directory(Path::new(name))
    }

    #[test]
    fn machines_that_come_at_once_get_different_addresses() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("register");
        let mut addresses: Vec<Ipv4Addr> = thread::scope(|scope| {
            let tasks: Vec<_> = (0..20)
                .map(|number| {
                    let path = &path;
                    scope.spawn(move || {
                        let directory = PathBuf::from(format!("/m/{number}"));
                        let id = Identity::of_directory(&directory);
                        let register = Register::hold_at(path).unwrap();
                        let address = register.allocate(&id, &directory, subnet(), None).unwrap();
                        register.release().unwrap();
                        address
                    })
                })
                .collect();
            tasks.into_iter().map(|task| task.join().unwrap()).collect()
        });
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 20);
    }

    #[test]
    fn a_machine_keeps_its_address_and_a_struck_out_one_is_given_again() {
        let root = tempfile::tempdir().unwrap();
        let register = Register::hold_at(root.path()).unwrap();
        let allocate = |name: &str| {
            register
                .allocate(&identity(name), Path::new(name), subnet(), None)
                .unwrap()
        };
        let first = allocate("/m/a");
        assert_eq!(allocate("/m/a"), first);
        assert_ne!(allocate("/m/b"), first);
        register.strike(&identity("/m/a")).unwrap();
        register.strike(&identity("/m/a")).unwrap();
        assert_eq!(allocate("/m/c"), first);
    }

    #[test]
    fn an_address_is_wanted_back_and_got_if_free() {
        let root = tempfile::tempdir().unwrap();
        let register = Register::hold_at(root.path()).unwrap();
        let wanted = Ipv4Addr::new(10, 7, 0, 77);
        for (name, expected) in [("/m/a", wanted), ("/m/b", Ipv4Addr::new(10, 7, 0, 2))] {
            let id = identity(name);
            let address = register
                .allocate(&id, Path::new(name), subnet(), Some(wanted))
                .unwrap();
            assert_eq!(address, expected);
        }
    }

    #[test]
    fn a_network_that_overlaps_another_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let register = Register::hold_at(root.path()).unwrap();
        let a = identity("/m/a");
        register
            .allocate(&a, Path::new("/m/a"), subnet(), None)
            .unwrap();
        let wide = "10.7.0.0/16".parse().unwrap();
        let b = identity("/m/b");
        let error = register
            .allocate(&b, Path::new("/m/b"), wide, None)
            .unwrap_err();
        assert!(error.to_string().contains("10.7.0.0/24"), "{error}");
    }

    #[test]
    fn the_register_vanishes_with_its_last_entry() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("register");
        let a = identity("/m/a");
        let register = Register::hold_at(&path).unwrap();
        register
            .allocate(&a, Path::new("/m/a"), subnet(), None)
            .unwrap();
        register.release().unwrap();
        assert!(path.exists());
        let register = Register::hold_at(&path).unwrap();
        register.strike(&a).unwrap();
        register.release().unwrap();
        assert!(!path.exists());
    }
}
