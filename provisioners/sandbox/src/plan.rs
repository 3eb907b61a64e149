//! What the monitor and the init must know to boot a machine.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use berth_provisioners_api::DriverError;
use serde::{Deserialize, Serialize};

use crate::failure::Doing as _;
use crate::identity::Identity;
use crate::subnet::Subnet;

/// A machine, ready to be booted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BootPlan {
    /// The identity on this host.
    pub(crate) id: Identity,
    /// The name that the operator gave.
    pub(crate) name: String,
    /// The machine's directory in the store.
    pub(crate) directory: PathBuf,
    /// The root of the store, which the machine must not see.
    pub(crate) store_root: PathBuf,
    /// The root filesystem, unless it is this host's.
    pub(crate) rootfs: Option<PathBuf>,
    /// The program of the root filesystem that is process 1, unless it is this one.
    #[serde(default)]
    pub(crate) init: Option<PathBuf>,
    /// The machine's address.
    pub(crate) address: Ipv4Addr,
    /// The network that the address is in.
    pub(crate) subnet: Subnet,
}

/// The files of a machine in its directory.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    directory: PathBuf,
}

impl BootPlan {
    /// Reads the plan of the machine in `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self, DriverError> {
        let path = Files::of(directory).plan();
        let text = fs::read(&path).doing(|| format!("cannot read boot plan {}", path.display()))?;
        serde_json::from_slice(&text)
            .doing(|| format!("cannot understand boot plan {}", path.display()))
    }

    /// Writes the plan where [`BootPlan::read`] finds it.
    pub(crate) fn write(&self) -> Result<(), DriverError> {
        let path = Files::of(&self.directory).plan();
        let doing = || format!("cannot write boot plan {}", path.display());
        let text = serde_json::to_vec_pretty(self).doing(doing)?;
        let fresh = path.with_extension("new");
        fs::write(&fresh, text).doing(doing)?;
        fs::rename(&fresh, &path).doing(doing)
    }
}

impl Files {
    /// Returns the files of the machine in `directory`.
    pub(crate) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The boot plan.
    pub(crate) fn plan(&self) -> PathBuf {
        self.directory.join("sandbox.json")
    }

    /// What the monitor, the init and sshd print.
    pub(crate) fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    /// Held while somebody changes the machine.
    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join("sandbox.lock")
    }

    /// The key that opens the machine.
    pub(crate) fn client_key(&self) -> PathBuf {
        self.directory.join("id_ed25519")
    }

    /// The key by which the machine is known.
    pub(crate) fn host_key(&self) -> PathBuf {
        self.directory.join("ssh_host_ed25519_key")
    }

    /// All that the machine has written.
    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }
}
