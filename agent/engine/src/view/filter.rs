//! Filters of container lists: `status=exited`, `label=a=b`, …

use crate::container::record::{ContainerRecord, MountKind};
use crate::container::status::Phase;
use crate::view::list::network_name;

/// A filter is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not `key=value`.
    #[error(
        "invalid argument \"{0}\" for \"--filter\": bad format of filter (expected name=value)"
    )]
    Malformed(String),
    /// No such key.
    #[error("invalid filter '{0}'")]
    Key(String),
    /// No such value.
    #[error("invalid filter '{key}={value}'")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Id(String),
    Name(String),
    Label { name: String, value: Option<String> },
    Exited(i32),
    Status(Phase),
    Ancestor(String),
    Before(String),
    Since(String),
    Volume(String),
    Network(String),
    Publish(String),
    Expose(String),
}

/// Conditions: one of each kind must hold, and all labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters(Vec<Filter>);

impl Filters {
    pub(crate) fn parse(texts: &[String]) -> Result<Self, FilterError> {
        texts
            .iter()
            .map(|text| Filter::parse(text))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Filter> {
        self.0.iter()
    }

    /// Whether containers that do not run are asked for.
    pub(crate) fn names_a_state(&self) -> bool {
        self.iter()
            .any(|filter| matches!(filter, Filter::Exited(_) | Filter::Status(_)))
    }

    /// Whether `record` passes; `image_id` resolves images' names.
    pub(crate) fn matches(
        &self,
        record: &ContainerRecord,
        image_id: &dyn Fn(&str) -> Option<String>,
    ) -> bool {
        self.0.iter().all(|filter| {
            if matches!(filter, Filter::Label { .. }) {
                return filter.holds(record, image_id);
            }
            let kind = std::mem::discriminant(filter);
            self.0
                .iter()
                .filter(|other| std::mem::discriminant(*other) == kind)
                .any(|other| other.holds(record, image_id))
        })
    }
}

impl Filter {
    fn parse(text: &str) -> Result<Self, FilterError> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| FilterError::Malformed(text.to_owned()))?;
        let owned = value.to_owned();
        let wrong = || FilterError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        Ok(match key {
            "id" => Self::Id(owned),
            "name" => Self::Name(owned),
            "label" => match value.split_once('=') {
                Some((name, value)) => Self::Label {
                    name: name.to_owned(),
                    value: Some(value.to_owned()),
                },
                None => Self::Label {
                    name: owned,
                    value: None,
                },
            },
            "exited" => Self::Exited(value.parse().map_err(|_not_a_number| wrong())?),
            "status" => Self::Status(phase(value).ok_or_else(wrong)?),
            "ancestor" => Self::Ancestor(owned),
            "before" => Self::Before(owned),
            "since" => Self::Since(owned),
            "volume" => Self::Volume(owned),
            "network" => Self::Network(owned),
            "publish" => Self::Publish(owned),
            "expose" => Self::Expose(owned),
            _ => return Err(FilterError::Key(key.to_owned())),
        })
    }

    fn holds(&self, record: &ContainerRecord, image_id: &dyn Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Id(prefix) => record.id.as_str().starts_with(prefix.as_str()),
            Self::Name(part) => name_matches(&record.name, part),
            Self::Label { name, value } => record
                .config
                .labels
                .get(name)
                .is_some_and(|found| value.as_ref().is_none_or(|value| value == found)),
            Self::Exited(code) => {
                record.status.phase == Phase::Exited && record.status.exit.code == *code
            }
            Self::Status(phase) => record.status.phase == *phase,
            Self::Ancestor(image) => {
                record.image == *image || image_id(image).is_some_and(|id| id == record.image_id)
            }
            // Decided before, as they are about another container.
            Self::Before(_) | Self::Since(_) => true,
            Self::Volume(wanted) => record.mounts.iter().any(|mount| {
                mount.target == *wanted
                    || mount.source == *wanted
                    || matches!(&mount.kind, MountKind::Volume { name, .. } if name == wanted)
            }),
            Self::Network(name) => network_name(record) == name,
            Self::Publish(port) => record.host.port_bindings.iter().any(|binding| {
                let protocol = if binding.protocol.is_empty() {
                    "tcp"
                } else {
                    binding.protocol.as_str()
                };
                crate::create::merge::with_protocol(port)
                    == format!("{}/{protocol}", binding.container_port)
            }),
            Self::Expose(port) => record
                .config
                .exposed_ports
                .contains(&crate::create::merge::with_protocol(port)),
        }
    }
}

/// As Docker without regular expressions: a part of the name, with `^` and `$` for its ends.
fn name_matches(name: &str, pattern: &str) -> bool {
    let start = pattern.strip_prefix('^');
    let body = start.unwrap_or(pattern);
    let end = body.strip_suffix('$');
    let body = end.unwrap_or(body);
    let body = body.strip_prefix('/').unwrap_or(body);
    match (start.is_some(), end.is_some()) {
        (true, true) => name == body,
        (true, false) => name.starts_with(body),
        (false, true) => name.ends_with(body),
        (false, false) => name.contains(body),
    }
}

fn phase(word: &str) -> Option<Phase> {
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
    .find(|phase| phase.word() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_nonsense_is_refused() {
        let parse = |text: &str| Filter::parse(text);
        assert_eq!(parse("status=exited"), Ok(Filter::Status(Phase::Exited)));
        assert_eq!(
            parse("label=a=b=c"),
            Ok(Filter::Label {
                name: "a".to_owned(),
                value: Some("b=c".to_owned())
            })
        );
        assert!(matches!(parse("foo=1"), Err(FilterError::Key(_))));
        assert!(matches!(
            parse("status=well"),
            Err(FilterError::Value { .. })
        ));
        assert!(matches!(parse("status"), Err(FilterError::Malformed(_))));
    }

    #[test]
    fn a_name_matches_in_part_unless_anchored() {
        assert!(name_matches("web_1", "eb"));
        assert!(name_matches("web_1", "^/web"));
        assert!(!name_matches("web_1", "^web$"));
        assert!(name_matches("web", "^web$"));
    }
}
