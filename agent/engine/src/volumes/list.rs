//! Lists of volumes, with Docker's filters.

use berth_agent_volumes::Volume;

use crate::Engine;
use crate::create::mounts::LOCAL_DRIVER;
use crate::filters::FilterArgs;
use crate::volumes::VolumeError;

/// The keys of the filters.
const KEYS: [&str; 4] = ["dangling", "driver", "label", "name"];

impl Engine {
    /// Lists volumes in the order of their names. `filters` are `key=value` texts.
    ///
    /// # Errors
    /// When a filter is wrong or the volumes cannot be read.
    pub fn list_volumes(&self, filters: &[String]) -> Result<Vec<Volume>, VolumeError> {
        let filters = FilterArgs::parse(filters)?;
        filters.validate(&KEYS)?;
        let dangling = filters
            .contains("dangling")
            .then(|| filters.truth("dangling", false))
            .transpose()?;
        let mut volumes = self.volumes.list()?;
        volumes.retain(|volume| {
            filters.exact_match("driver", LOCAL_DRIVER)
                && filters.regex_match("name", &volume.name)
                && filters.match_kv_list("label", &volume.labels)
                && dangling
                    .is_none_or(|wanted| self.users_of_volume(&volume.name).is_empty() == wanted)
        });
        Ok(volumes)
    }
}
