//! The control groups of a machine, in every hierarchy that this host has.
//!
//! In each of them a machine has `berth-sandbox/ID` with two groups: `monitor`, and `machine`,
//! which looks like the root from inside. They are how the machine's processes are found, so there
//! is nothing else to keep in step with the kernel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_provisioners_api::DriverError;

use crate::failure::Doing as _;
use crate::identity::Identity;
use crate::processes::Process;
use crate::tags;

mod group;
mod hierarchy;

pub(crate) use hierarchy::{Hierarchy, thaw};

const PARENT: &str = "berth-sandbox";

/// One of a machine's two groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The process that stands for the hypervisor.
    Monitor,
    /// Everything inside.
    Machine,
}

/// What a machine may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Memory in bytes.
    pub(crate) memory: Option<u64>,
    /// Processors in thousandths.
    pub(crate) millicpus: Option<u64>,
}

/// The control groups of one machine.
#[derive(Clone, Debug)]
pub(crate) struct ControlGroups {
    hierarchies: Vec<Hierarchy>,
    id: Identity,
}

// === impl Part ===

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Machine => "machine",
        }
    }
}

// === impl ControlGroups ===

impl ControlGroups {
    /// Returns the groups of machine `id`, whether they exist or not.
    pub(crate) fn of(id: &Identity) -> Result<Self, DriverError> {
        let hierarchies =
            hierarchy::of_this_host().doing(|| "cannot find control groups".to_owned())?;
        if hierarchies.is_empty() {
            return Err(DriverError::refused("no control groups are mounted")
                .with_hint("mount them at /sys/fs/cgroup"));
        }
        Ok(Self {
            hierarchies,
            id: id.clone(),
        })
    }

    /// Returns the hierarchies of this host.
    pub(crate) fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// Makes the groups that do not exist, and sets the limits.
    pub(crate) fn make(&self, limits: Limits) -> Result<(), DriverError> {
        for hierarchy in &self.hierarchies {
            let home = self.home(hierarchy);
            for part in [Part::Monitor, Part::Machine] {
                let group = home.join(part.name());
                group::make(&group)
                    .doing(|| format!("cannot make control group {}", group.display()))?;
            }
            hierarchy.open_to_children(&[hierarchy.root(), home.parent().unwrap_or(&home), &home]);
            for part in [Part::Monitor, Part::Machine] {
                let way = [PARENT, self.id.as_str(), part.name()];
                hierarchy
                    .pass_down_processors(&way)
                    .doing(|| format!("cannot give processors to {}", home.display()))?;
            }
        }
        self.limit(limits)
    }

    /// Writes on the groups which machine they belong to.
    pub(crate) fn tag(&self, directory: &Path) {
        for hierarchy in &self.hierarchies {
            let home = self.home(hierarchy);
            // The register has the tag that counts.
            if let Err(error) = tags::put_on_group(&home, directory) {
                tracing::debug!(group = %home.display(), %error, "control group has no tag");
            }
        }
    }

    /// Tells whether there are any.
    pub(crate) fn exist(&self) -> bool {
        self.hierarchies
            .iter()
            .any(|hierarchy| self.home(hierarchy).exists())
    }

    fn limit(&self, limits: Limits) -> Result<(), DriverError> {
        if let Some(bytes) = limits.memory {
            self.set_one("memory", |hierarchy, group| {
                hierarchy.limit_memory(group, bytes)
            })?;
        }
        if let Some(millicpus) = limits.millicpus {
            self.set_one("cpu", |hierarchy, group| {
                hierarchy.limit_processors(group, millicpus)
            })?;
        }
        Ok(())
    }

    fn set_one(
        &self,
        controller: &str,
        set: impl Fn(&Hierarchy, &Path) -> io::Result<()>,
    ) -> Result<(), DriverError> {
        let hierarchy = self
            .hierarchies
            .iter()
            .find(|hierarchy| hierarchy.controls(controller))
            .ok_or_else(|| {
                DriverError::refused(format!("this host has no control group of {controller}"))
                    .with_hint("create the machine without that limit")
            })?;
        let group = self.home(hierarchy).join(Part::Machine.name());
        set(hierarchy, &group).doing(|| format!("cannot limit {controller} of the machine"))
    }

    /// Moves the calling process into one of the groups, in every hierarchy.
    pub(crate) fn enter(&self, part: Part) -> Result<(), DriverError> {
        for hierarchy in &self.hierarchies {
            let file = self.home(hierarchy).join(part.name()).join("cgroup.procs");
            fs::write(&file, "0").doing(|| format!("cannot enter {}", file.display()))?;
        }
        Ok(())
    }

    /// Returns handles on the processes of one part that live now.
    pub(crate) fn processes(&self, part: Part) -> Result<Vec<Process>, DriverError> {
        let group = self.home(self.index()).join(part.name());
        let members = group::members(&group)
            .doing(|| format!("cannot list processes of {}", group.display()))?;
        Ok(members
            .into_iter()
            .map(|(_number, process)| process)
            .collect())
    }

    /// Kills all processes of the machine, its monitor included, and waits for their end.
    pub(crate) fn kill(&self) -> Result<(), DriverError> {
        for hierarchy in &self.hierarchies {
            if hierarchy.controls("freezer") {
                let home = self.home(hierarchy);
                thaw(&home).doing(|| format!("cannot thaw processes of {}", home.display()))?;
            }
        }
        for hierarchy in &self.hierarchies {
            let home = self.home(hierarchy);
            group::kill(&home).doing(|| format!("cannot kill processes of {}", home.display()))?;
        }
        Ok(())
    }

    /// Removes the groups, which no process may be in any more.
    pub(crate) fn remove(&self) -> Result<(), DriverError> {
        let mut first_error = Ok(());
        for hierarchy in &self.hierarchies {
            let home = self.home(hierarchy);
            let result = group::remove(&home)
                .doing(|| format!("cannot remove control group {}", home.display()));
            // The last machine takes the common parent with it; others keep it busy.
            if let Some(parent) = home.parent() {
                let _busy = fs::remove_dir(parent);
            }
            first_error = first_error.and(result);
        }
        first_error
    }

    /// Removes what was made below the machine's group by those inside.
    pub(crate) fn clear_machine(&self) -> Result<(), DriverError> {
        for hierarchy in &self.hierarchies {
            let group = self.home(hierarchy).join(Part::Machine.name());
            for child in group::children(&group) {
                group::remove(&child)
                    .doing(|| format!("cannot remove control group {}", child.display()))?;
            }
        }
        Ok(())
    }

    fn home(&self, hierarchy: &Hierarchy) -> PathBuf {
        hierarchy.root().join(PARENT).join(self.id.as_str())
    }

    /// The hierarchy in which processes are looked up: one that engines inside do not reorganise,
    /// as far as there is one.
    fn index(&self) -> &Hierarchy {
        let rank = |hierarchy: &&Hierarchy| {
            if hierarchy.is_unified() {
                0
            } else if hierarchy.controls("pids") {
                1
            } else {
                2
            }
        };
        // `of` has made sure that there is one.
        self.hierarchies
            .iter()
            .min_by_key(rank)
            .unwrap_or(&self.hierarchies[0])
    }
}

/// Returns identities and directories of the machines whose control groups have a tag.
pub(crate) fn tagged() -> Result<Vec<(Identity, PathBuf)>, DriverError> {
    let hierarchies =
        hierarchy::of_this_host().doing(|| "cannot find control groups".to_owned())?;
    let homes = hierarchies
        .iter()
        .flat_map(|hierarchy| group::children(&hierarchy.root().join(PARENT)));
    Ok(homes
        .filter_map(|home| {
            let id = Identity::of_digits(home.file_name()?.to_str()?)?;
            Some((id, tags::of_group(&home)?))
        })
        .collect())
}
