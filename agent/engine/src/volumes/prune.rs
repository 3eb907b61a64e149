//! Removes the volumes that no container uses.

use std::collections::BTreeMap;
use std::sync::TryLockError;

use berth_agent_volumes::Volume;

use crate::Engine;
use crate::class::Classified as _;
use crate::create::mounts::ANONYMOUS_LABEL;
use crate::events::EventKind;
use crate::filters::FilterArgs;
use crate::volumes::VolumeError;

/// The keys of the filters.
const KEYS: [&str; 3] = ["all", "label", "label!"];

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedVolumes {
    /// Names.
    pub removed: Vec<String>,
    /// Bytes of their files.
    pub reclaimed: u64,
}

impl Engine {
    /// Removes all volumes that no container uses: those without a name of their own, or with the filter
    /// `all=true` the others too. Volumes with something mounted stay, as nothing is won. Blocks.
    ///
    /// # Errors
    /// When a filter is wrong, or while another call is at it.
    pub fn prune_volumes(&self, filters: &[String]) -> Result<PrunedVolumes, VolumeError> {
        let filters = FilterArgs::parse(filters)?;
        filters.validate(&KEYS)?;
        let all = filters.truth("all", false)?;
        let _alone = match self.pruning_volumes.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(VolumeError::Pruning),
        };
        let is_spared = |labels: &BTreeMap<String, String>| {
            filters.contains("label!") && filters.match_kv_list("label!", labels)
        };
        let is_wanted = |volume: &Volume| {
            let is_anonymous = volume.anonymous || volume.labels.contains_key(ANONYMOUS_LABEL);
            (all || is_anonymous)
                && volume.options.is_empty()
                && filters.match_kv_list("label", &volume.labels)
                && !is_spared(&volume.labels)
        };
        let mut pruned = PrunedVolumes::default();
        for volume in self.volumes.list()?.into_iter().filter(is_wanted) {
            let usage = self.usage_of(volume);
            if usage.n_users > 0 {
                continue;
            }
            let name = usage.volume.name;
            match self.remove_volume(&name, false) {
                Ok(()) => {
                    pruned.reclaimed += usage.size;
                    pruned.removed.push(name);
                }
                Err(VolumeError::InUse { .. } | VolumeError::NotFound(_)) => {}
                Err(error) => {
                    let error = error.sentence();
                    tracing::warn!(volume = name, error, "volume not removed");
                }
            }
        }
        let reclaimed = pruned.reclaimed.to_string();
        let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed)]);
        self.events
            .publish(EventKind::Volume, "prune", "", attributes);
        Ok(pruned)
    }
}
