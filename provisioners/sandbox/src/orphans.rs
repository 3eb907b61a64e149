//! What is left of machines whose store does not know them any more.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use berth_provisioners_api::{DriverError, Orphan};

use crate::cgroups::{self, ControlGroups, Part};
use crate::config::SandboxConfig;
use crate::identity::Identity;
use crate::netlink;
use crate::register::Register;
use crate::subnet::Subnet;
use crate::tags;

/// A machine of a store, as the tags on this host tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tagged {
    /// The name, the last part of the directory.
    pub(crate) name: String,
    directory: PathBuf,
    id: Identity,
    place: Option<(Subnet, Ipv4Addr)>,
}

/// Returns all machines of the store at `store_root` that have left a tag on this host, whether
/// the store knows them or not.
pub(crate) fn of_store(store_root: &Path) -> Result<Vec<Tagged>, DriverError> {
    let mut found = BTreeMap::new();
    for entry in Register::peek()? {
        let tagged = Tagged::new(
            entry.id,
            entry.directory,
            Some((entry.subnet, entry.address)),
        );
        found.insert(tagged.id.clone(), tagged);
    }
    let cables = tags::of_cables(Identity::CABLE_PREFIX)
        .into_iter()
        .filter_map(|(cable, directory)| Some((Identity::of_cable(&cable)?, directory)));
    for (id, directory) in cgroups::tagged()?.into_iter().chain(cables) {
        found
            .entry(id.clone())
            .or_insert_with(|| Tagged::new(id, directory, None));
    }
    let machines = resolved(&store_root.join("machines"));
    Ok(found
        .into_values()
        .filter(|tagged| {
            !tagged.name.is_empty()
                && tagged.directory.parent().map(resolved).as_ref() == Some(&machines)
        })
        .collect())
}

/// A store may be named by a path with links in it, and need not exist any more.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_gone| path.to_owned())
}

impl Tagged {
    fn new(id: Identity, directory: PathBuf, place: Option<(Subnet, Ipv4Addr)>) -> Self {
        let name = directory.file_name().and_then(|name| name.to_str());
        Self {
            name: name.unwrap_or_default().to_owned(),
            directory,
            id,
            place,
        }
    }

    /// Looks what there is of the machine; none when everything has gone meanwhile.
    pub(crate) fn examine(self) -> Result<Option<Orphan>, DriverError> {
        let mut resources = Vec::new();
        let groups = ControlGroups::of(&self.id)?;
        let mut count = 0;
        for part in [Part::Monitor, Part::Machine] {
            count += groups.processes(part)?.len();
        }
        match count {
            0 => {}
            1 => resources.push("1 process".to_owned()),
            count => resources.push(format!("{count} processes")),
        }
        if groups.exist() {
            resources.push("control groups".to_owned());
        }
        let cable = self.id.cable();
        // A name that cannot be looked up is no interface.
        if matches!(netlink::interface(&cable), Ok(Some(_index))) {
            resources.push(format!("interface {cable}"));
        }
        if let Some((_subnet, address)) = self.place {
            resources.push(format!("address {address}"));
        }
        if resources.is_empty() {
            return Ok(None);
        }
        let config = SandboxConfig::of_orphan(&self.directory, self.id, self.place);
        Ok(Some(Orphan {
            machine: self.name,
            resources,
            // All keys are texts and all values numbers or texts, so this cannot fail.
            config: serde_json::to_value(config).unwrap_or_default(),
        }))
    }
}
