//! Removes all containers that do not run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::record::ContainerRecord;
use crate::events::EventKind;
use crate::filters::{FilterArgs, FilterError};
use crate::life::remove::RemoveOptions;
use crate::moment;

/// The keys of its filters.
const KEYS: [&str; 3] = ["label", "label!", "until"];

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids of containers.
    pub removed: Vec<String>,
    /// Bytes that they had written.
    pub reclaimed: u64,
}

/// Nothing is removed.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// A filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// Which containers to remove.
struct Wanted {
    args: FilterArgs,
    until: Option<SystemTime>,
}

impl Wanted {
    fn parse(texts: &[String]) -> Result<Self, FilterError> {
        let args = FilterArgs::parse(texts)?;
        args.validate(&KEYS)?;
        let mut values = args.values("until");
        let (first, second) = (values.next(), values.next());
        if second.is_some() {
            let sentence = "more than one until filter specified".to_owned();
            return Err(FilterError::Sentence(sentence));
        }
        let until = first.map(|text| moment::parse(text, SystemTime::now()));
        let until = until
            .transpose()
            .map_err(|error| FilterError::Sentence(error.to_string()))?;
        drop(values);
        Ok(Self { args, until })
    }

    fn includes(&self, record: &ContainerRecord) -> bool {
        let labels = &record.config.labels;
        let is_spared = self.args.contains("label!") && self.args.match_kv_list("label!", labels);
        !record.status.phase.is_alive()
            && self.until.is_none_or(|until| record.created <= until)
            && self.args.match_kv_list("label", labels)
            && !is_spared
    }
}

impl Engine {
    /// Removes all containers that do not run and pass the filters. One that cannot be removed, as it has
    /// just been started above all, stays.
    ///
    /// # Errors
    /// When a filter is wrong.
    ///
    /// # Cancel safety
    /// When the future is dropped, some are removed and some are not.
    pub async fn prune_containers(
        self: &Arc<Self>,
        filters: &[String],
    ) -> Result<Pruned, PruneError> {
        let wanted = Wanted::parse(filters)?;
        let mut pruned = Pruned::default();
        for container in self.containers.all() {
            if !container.with_record(|record| wanted.includes(record)) {
                continue;
            }
            let (engine, record) = (Arc::clone(self), container.record());
            let sizes = tokio::task::spawn_blocking(move || engine.sizes(&record));
            let (size, _with_image) = crate::task::outcome(sizes).await;
            let id = container.id().as_str();
            match self.remove(id, RemoveOptions::default()).await {
                Ok(()) => {
                    pruned.reclaimed += size;
                    pruned.removed.push(id.to_owned());
                }
                Err(error) => {
                    let error = error.sentence();
                    tracing::warn!(container = id, error, "container not removed");
                }
            }
        }
        let reclaimed = pruned.reclaimed.to_string();
        let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed)]);
        self.events
            .publish(EventKind::Container, "prune", "", attributes);
        Ok(pruned)
    }
}

impl Classified for PruneError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidArgument
    }

    fn reason(&self) -> &'static str {
        "invalid-filter"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(phase: &str) -> ContainerRecord {
        let value = json!({
            "id": "ab".repeat(32), "name": "n", "image": "i", "image_id": "", "layers": [],
            "created": SystemTime::now() - std::time::Duration::from_secs(60),
            "config": { "labels": { "keep": "1" } }, "host": {}, "mounts": [], "status": { "phase": phase },
        });
        serde_json::from_value(value).expect("a record")
    }

    fn includes(texts: &[&str], phase: &str) -> bool {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        Wanted::parse(&texts)
            .expect("filters")
            .includes(&record(phase))
    }

    #[test]
    fn what_does_not_run_and_passes_is_removed() {
        for yes in [&[][..], &["label=keep"], &["label!=other"], &["until=10s"]] {
            assert!(includes(yes, "Exited"), "{yes:?}");
            assert!(!includes(yes, "Running"), "{yes:?}");
            assert!(!includes(yes, "Restarting"), "{yes:?}");
        }
        for no in [
            &["label=other"][..],
            &["label!=keep"],
            &["label!=keep=1"],
            &["until=10m"],
        ] {
            assert!(!includes(no, "Exited"), "{no:?}");
        }
        for wrong in [&["until=1s", "until=2s"][..], &["until=x"], &["name=a"]] {
            let texts: Vec<String> = wrong.iter().map(|&text| text.to_owned()).collect();
            assert!(Wanted::parse(&texts).is_err(), "{wrong:?}");
        }
    }
}
