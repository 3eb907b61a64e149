//! Filters of container lists, with Docker's rules for each key.

use std::collections::BTreeSet;

use crate::container::health::HealthStatus;
use crate::container::record::{ContainerRecord, MountKind};
use crate::container::status::Phase;
use crate::create::network_request::exposed_ports;
use crate::filters::{FilterArgs, FilterError};
use crate::view::list::{PortSummary, network_names, ports};

/// The keys of the lists.
const KEYS: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Ports as `publish` and `expose` name them: number and protocol.
type PortSet = BTreeSet<(u16, String)>;

/// What a list is to show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    args: FilterArgs,
    exited: Vec<i32>,
    publish: PortSet,
    expose: PortSet,
    /// Only tasks of a swarm, of which there are none.
    only_tasks: bool,
    /// Images; nothing: any.
    ancestors: Option<Vec<Ancestor>>,
}

/// An image whose containers, and those of images that descend from it, are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ancestor {
    /// Its id, and those of the images that are known to be made of it.
    pub(crate) ids: BTreeSet<String>,
    /// Its layers, bottom first: an image that has more on top of them descends from it too.
    pub(crate) layers: Vec<String>,
}

// === impl Ancestor ===

impl Ancestor {
    fn is_of(&self, record: &ContainerRecord) -> bool {
        let has_more = record.layers.len() > self.layers.len() && !self.layers.is_empty();
        self.ids.contains(&record.image_id) || (has_more && record.layers.starts_with(&self.layers))
    }
}

// === impl Filters ===

impl Filters {
    /// Reads `key=value` texts; `image` finds images by name.
    pub(crate) fn parse(
        texts: &[String],
        image: &dyn Fn(&str) -> Option<Ancestor>,
    ) -> Result<Self, FilterError> {
        let args = FilterArgs::parse(texts)?;
        args.validate(&KEYS)?;
        if let Some(status) = args.values("status").find(|word| !is_phase(word)) {
            return Err(wrong("status", status));
        }
        let is_health = |word: &str| word == "none" || HealthStatus::parse(word).is_some();
        if let Some(health) = args.values("health").find(|word| !is_health(word)) {
            let sentence = format!("unrecognized filter value for health: {health}");
            return Err(FilterError::Sentence(sentence));
        }
        let exited = args.values("exited");
        let exited = exited.map(|code| code.parse().map_err(|_not_one| wrong("exited", code)));
        let ancestors = args
            .contains("ancestor")
            .then(|| args.values("ancestor").filter_map(image).collect());
        Ok(Self {
            exited: exited.collect::<Result<_, _>>()?,
            publish: port_set(&args, "publish")?,
            expose: port_set(&args, "expose")?,
            only_tasks: args.truth("is-task", false)?,
            ancestors,
            args,
        })
    }

    /// Returns the container that a bound (`before` or `since`) names.
    pub(crate) fn bound(&self, key: &str) -> Option<&str> {
        self.args.values(key).last()
    }

    /// Whether containers that do not run are asked for.
    pub(crate) fn names_a_state(&self) -> bool {
        self.args.contains("status")
    }

    /// Whether `record` passes.
    pub(crate) fn matches(
        &self,
        record: &ContainerRecord,
        network_id: &dyn Fn(&str) -> String,
    ) -> bool {
        let args = &self.args;
        !self.only_tasks
            && self.has_name(record)
            && args.fuzzy_match("id", record.id.as_str())
            && args.match_kv_list("label", &record.config.labels)
            && args.exact_match("isolation", "")
            && self.has_exited(record)
            && args.exact_match("status", record.status.phase.word())
            && args.exact_match("health", record.status.health_word())
            && self.has_volume(record)
            && self
                .ancestors
                .as_ref()
                .is_none_or(|all| all.iter().any(|ancestor| ancestor.is_of(record)))
            && self.has_network(record, network_id)
            && self.has_port(record)
    }

    /// Names count with and without their slash.
    fn has_name(&self, record: &ContainerRecord) -> bool {
        let name = &record.name;
        self.args.regex_match("name", name) || self.args.regex_match("name", &format!("/{name}"))
    }

    /// A network counts by its name and by how its id begins.
    fn has_network(&self, record: &ContainerRecord, network_id: &dyn Fn(&str) -> String) -> bool {
        if !self.args.contains("network") {
            return true;
        }
        network_names(record).iter().any(|name| {
            let id = network_id(name);
            let mut values = self.args.values("network");
            values.any(|value| value == name || (!value.is_empty() && id.starts_with(value)))
        })
    }

    fn has_exited(&self, record: &ContainerRecord) -> bool {
        let status = &record.status;
        self.exited.is_empty()
            || (!status.phase.is_alive()
                && status.started_at.is_some()
                && self.exited.contains(&status.exit.code))
    }

    fn has_volume(&self, record: &ContainerRecord) -> bool {
        if !self.args.contains("volume") {
            return true;
        }
        record.mounts.iter().any(|mount| {
            let name = match &mount.kind {
                MountKind::Volume { name, .. } => name,
                MountKind::Bind | MountKind::Tmpfs { .. } => &mount.source,
            };
            self.args.has("volume", &mount.target) || self.args.has("volume", name)
        })
    }

    /// As Docker: with both kinds of filters one port that passes either is enough.
    fn has_port(&self, record: &ContainerRecord) -> bool {
        if self.publish.is_empty() && self.expose.is_empty() {
            return true;
        }
        let is_wanted = |port: &PortSummary| {
            let has = |set: &PortSet, number| set.contains(&(number, port.protocol.clone()));
            has(&self.publish, port.host_port) || has(&self.expose, port.container_port)
        };
        ports(record).iter().any(is_wanted)
    }
}

fn wrong(key: &str, value: &str) -> FilterError {
    FilterError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn port_set(args: &FilterArgs, key: &str) -> Result<PortSet, FilterError> {
    let mut ports = PortSet::new();
    for text in args.values(key) {
        if text.contains(':') {
            let sentence = format!("filter for '{key}' should not contain ':': {text}");
            return Err(FilterError::Sentence(sentence));
        }
        let found = exposed_ports(text).map_err(|error| {
            FilterError::Sentence(format!("error while looking up for {key} {text}: {error}"))
        })?;
        ports.extend(
            found
                .into_iter()
                .map(|(number, protocol)| (number, protocol.to_string())),
        );
    }
    Ok(ports)
}

fn is_phase(word: &str) -> bool {
    [
        Phase::Created,
        Phase::Running,
        Phase::Paused,
        Phase::Restarting,
        Phase::Exited,
        Phase::Dead,
        Phase::Removing,
    ]
    .into_iter()
    .any(|phase| phase.word() == word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> ContainerRecord {
        let value = json!({
            "id": "ab".repeat(32), "name": "web_1", "image": "i", "image_id": "sha256:1", "layers": ["a", "b"],
            "created": std::time::SystemTime::UNIX_EPOCH,
            "config": { "labels": { "a": "b" }, "exposed_ports": ["80/tcp"] },
            "host": {},
            "mounts": [{
                "kind": { "Volume": { "name": "data", "anonymous": false } }, "source": "/s", "target": "/t",
                "read_only": false, "propagation": "", "mode": "z",
            }],
            "status": { "phase": "Running", "started_at": std::time::SystemTime::UNIX_EPOCH },
            "network": { "ports": [
                { "host_ip": "0.0.0.0", "host_port": 8080, "container_port": 80, "protocol": "tcp" }
            ] },
        });
        serde_json::from_value(value).expect("a record")
    }

    fn filters(texts: &[&str]) -> Result<Filters, FilterError> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        Filters::parse(&texts, &|name| {
            let (ids, layers): (&[&str], &[&str]) = match name {
                "i" => (&["sha256:1"], &["a", "b"]),
                "base" => (&["sha256:0"], &["a"]),
                "other" => (&["sha256:7"], &["b"]),
                "sibling" => (&["sha256:8"], &["a", "b"]),
                "scratch" => (&["sha256:9"], &[]),
                "parent" => (&["sha256:5", "sha256:1"], &["a", "b"]),
                _ => return None,
            };
            let owned = |words: &[&str]| {
                words
                    .iter()
                    .map(|&word| word.to_owned())
                    .collect::<Vec<_>>()
            };
            Some(Ancestor {
                ids: owned(ids).into_iter().collect(),
                layers: owned(layers),
            })
        })
    }

    fn passes(texts: &[&str]) -> bool {
        let network_id = |name: &str| format!("0123{name}");
        filters(texts)
            .expect("filters")
            .matches(&record(), &network_id)
    }

    #[test]
    fn containers_pass_as_with_docker() {
        for yes in [
            &[][..],
            &["name=eb", "name=zz"],
            &["name=^/web_1$"],
            &["name=^web.[0-9]$"],
            &["id=abab"],
            &["label=a", "label=a=b"],
            &["status=running", "status=exited"],
            &["health=none"],
            &["volume=data"],
            &["volume=/t"],
            &["ancestor=i", "ancestor=unknown"],
            &["ancestor=base"],
            &["ancestor=parent"],
            &["network=bridge"],
            &["network=0123br"],
            &["publish=8080"],
            &["publish=8000-8100/tcp"],
            &["expose=80/tcp"],
            &["publish=1", "expose=80"],
            &["is-task=false"],
        ] {
            assert!(passes(yes), "{yes:?}");
        }
        for no in [
            &["name=^web$"][..],
            &["id=b"],
            &["label=a", "label=c"],
            &["label=a=c"],
            &["status=exited"],
            &["exited=0"],
            &["health=healthy"],
            &["volume=/s"],
            &["ancestor=unknown"],
            &["ancestor=other"],
            &["ancestor=sibling"],
            &["ancestor=scratch"],
            &["network=host"],
            &["network=123"],
            &["publish=80"],
            &["expose=80/udp"],
            &["is-task=true"],
        ] {
            assert!(!passes(no), "{no:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_in_dockers_words() {
        for (text, sentence) in [
            ("foo=1", "invalid filter 'foo'"),
            ("status=well", "invalid filter 'status=well'"),
            ("exited=x", "invalid filter 'exited=x'"),
            ("health=fine", "unrecognized filter value for health: fine"),
            ("is-task=perhaps", "invalid filter 'is-task=[perhaps]'"),
            (
                "publish=1:2",
                "filter for 'publish' should not contain ':': 1:2",
            ),
        ] {
            assert_eq!(filters(&[text]).expect_err(text).to_string(), sentence);
        }
    }
}
