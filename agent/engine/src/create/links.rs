//! `--link`: `container[:alias]`, names and variables of another container on the default network.

use std::sync::Arc;

use berth_agent_state::StateError;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::containers::LookupError;
use crate::id::ContainerId;
use crate::options::mode::neighbour;
use crate::start::neighbours::LONGEST_ROW;

/// A link, by the id of the other container, which may be renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkRecord {
    pub(crate) container: ContainerId,
    pub(crate) alias: String,
}

/// A link cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nothing given.
    #[error("empty string specified for links")]
    Empty,
    /// More than two parts.
    #[error("bad format for links: {0}")]
    Malformed(String),
    /// The alias would not stay one name in `/etc/hosts` and in names of variables.
    #[error("invalid alias for links: {0}")]
    Alias(String),
    /// There is no such container.
    #[error("could not get container for {name}")]
    Lookup {
        /// As it was given.
        name: String,
        /// Why.
        #[source]
        source: LookupError,
    },
    /// No container of that name has such a link.
    #[error("Cannot get parent {parent} for link name {name}")]
    NoParent {
        /// The container that should have the link.
        parent: String,
        /// The link as it was given.
        name: String,
    },
    /// It has none of that alias.
    #[error("No such link: {0}")]
    NoLink(String),
    /// The database failed.
    #[error("removing the link")]
    State(#[source] StateError),
    /// It has no address of its own.
    #[error(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
    )]
    HostNetwork,
}

impl Engine {
    /// Finds the containers that a new one is linked to.
    pub(crate) fn decide_links(&self, links: &[String]) -> Result<Vec<LinkRecord>, LinkError> {
        links.iter().map(|text| self.link(text)).collect()
    }

    /// Removes a link of a container, `container/alias`. It counts from the next start on.
    ///
    /// # Errors
    /// When there is no such container or link.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn remove_link(self: &Arc<Self>, name: &str) -> Result<(), LinkError> {
        let no_parent = |parent: &str| LinkError::NoParent {
            parent: format!("/{parent}"),
            name: format!("/{}", name.trim_start_matches('/')),
        };
        let plain = name.trim_start_matches('/');
        let (parent, alias) = plain.split_once('/').ok_or_else(|| no_parent(""))?;
        let container = self
            .containers
            .find(parent)
            .map_err(|_none| no_parent(parent))?;
        let has_it = |link: &LinkRecord| link.alias == alias;
        if !container.with_record(|record| record.links.iter().any(has_it)) {
            return Err(LinkError::NoLink(name.to_owned()));
        }
        let (engine, alias) = (Arc::clone(self), alias.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            engine.change_durably(&container, |record| {
                record.links.retain(|link| link.alias != alias);
                record
                    .host
                    .links
                    .retain(|text| parse(text).is_ok_and(|(_, own)| own != alias));
            })
        });
        crate::task::outcome(work).await.map_err(LinkError::State)
    }

    fn link(&self, text: &str) -> Result<LinkRecord, LinkError> {
        let (name, alias) = parse(text)?;
        let look_up = |name: &str| {
            self.containers
                .find(name)
                .map_err(|source| LinkError::Lookup {
                    name: name.to_owned(),
                    source,
                })
        };
        let mut other = look_up(name)?;
        // Who shares another's network is reached where that one is. Names that came into being later
        // may make a circle, of which none can run.
        for _ in 0..LONGEST_ROW {
            let mode = other.with_record(|record| record.host.network_mode.clone());
            match (mode.as_str(), neighbour(&mode)) {
                ("host", _) => return Err(LinkError::HostNetwork),
                (_, Some(next)) => other = look_up(next)?,
                _ => break,
            }
        }
        Ok(LinkRecord {
            container: other.id().clone(),
            alias: alias.to_owned(),
        })
    }
}

/// Reads a link; one that `inspect` showed is taken as well.
fn parse(text: &str) -> Result<(&str, &str), LinkError> {
    if text.is_empty() {
        return Err(LinkError::Empty);
    }
    let malformed = || LinkError::Malformed(text.to_owned());
    let (name, alias) = match text.split(':').collect::<Vec<_>>()[..] {
        [name] => (name, name),
        [name, alias] => match name.strip_prefix('/') {
            Some(plain) => (plain, alias.rsplit('/').next().unwrap_or(alias)),
            None => (name, alias),
        },
        _ => return Err(malformed()),
    };
    if name.is_empty() || alias.is_empty() {
        return Err(malformed());
    }
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if !alias.bytes().all(is_name) {
        return Err(LinkError::Alias(alias.to_owned()));
    }
    Ok((name, alias))
}

impl Classified for LinkError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NoLink(_) => ErrorClass::NotFound,
            Self::State(_) => ErrorClass::Internal,
            _ => ErrorClass::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup { .. } => "container-not-found",
            Self::NoLink(_) => "link-not-found",
            Self::State(_) => "remove-failed",
            _ => "invalid-argument",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_in_both_forms() {
        assert_eq!(parse("db").expect("plain"), ("db", "db"));
        assert_eq!(parse("db:data").expect("alias"), ("db", "data"));
        assert_eq!(
            parse("/db:/web/data").expect("as inspect shows"),
            ("db", "data")
        );
        for text in ["", ":", "db:", ":x", "a:b:c", "a:b\n1.1.1.1 x", "a:b c"] {
            parse(text).expect_err(text);
        }
    }
}
