//! All containers of the engine, found by id, name or unique prefix of an id.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::id::ContainerId;

/// The containers and the names that are taken.
#[derive(Debug, Default)]
pub(crate) struct Containers {
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    by_id: BTreeMap<String, Arc<Container>>,
    /// Also names of containers that are being created.
    by_name: HashMap<String, ContainerId>,
}

/// No container is meant.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Nothing has that name or id.
    #[error("No such container: {0}")]
    NotFound(String),
    /// Several ids begin so.
    #[error("multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
}

/// A name is taken.
#[derive(Debug, thiserror::Error)]
#[error(
    "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (or rename) that container to be able to reuse that name."
)]
pub struct NameInUse {
    name: String,
    holder: ContainerId,
}

/// A name that is held until the container exists; dropped before, the name is free again.
#[derive(Debug)]
pub(crate) struct Reservation {
    containers: Arc<Containers>,
    name: String,
    kept: bool,
}

// === impl Containers ===

impl Containers {
    /// Finds a container by full id, name (with or without a leading slash) or unique id prefix.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Container>, LookupError> {
        let not_found = || LookupError::NotFound(name.to_owned());
        if name.is_empty() {
            return Err(not_found());
        }
        let index = self.read();
        if let Some(container) = index.by_id.get(name) {
            return Ok(Arc::clone(container));
        }
        let plain = name.strip_prefix('/').unwrap_or(name);
        if let Some(id) = index.by_name.get(plain) {
            // A reserved name has no container yet.
            return index.by_id.get(id.as_str()).cloned().ok_or_else(not_found);
        }
        let mut matches = index
            .by_id
            .range(name.to_owned()..)
            .take_while(|(id, _)| id.starts_with(name));
        let (_, found) = matches.next().ok_or_else(not_found)?;
        if matches.next().is_some() {
            return Err(LookupError::Ambiguous(name.to_owned()));
        }
        Ok(Arc::clone(found))
    }

    /// Holds `name` for a container that is being created.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        name: &str,
        id: &ContainerId,
    ) -> Result<Reservation, NameInUse> {
        let mut index = self.write();
        if let Some(holder) = index.by_name.get(name) {
            return Err(NameInUse {
                name: name.to_owned(),
                holder: holder.clone(),
            });
        }
        index.by_name.insert(name.to_owned(), id.clone());
        Ok(Reservation {
            containers: Arc::clone(self),
            name: name.to_owned(),
            kept: false,
        })
    }

    /// Adds a container whose name is reserved, or was read from the database.
    pub(crate) fn insert(&self, container: Arc<Container>) {
        let mut index = self.write();
        index
            .by_name
            .insert(container.name(), container.id().clone());
        index
            .by_id
            .insert(container.id().as_str().to_owned(), container);
    }

    /// Forgets a container and frees its name.
    pub(crate) fn remove(&self, container: &Container) {
        let mut index = self.write();
        index.by_id.remove(container.id().as_str());
        let name = container.name();
        if index.by_name.get(&name) == Some(container.id()) {
            index.by_name.remove(&name);
        }
    }

    /// Frees a name that a container had.
    pub(crate) fn free(&self, name: &str, id: &ContainerId) {
        let mut index = self.write();
        if index.by_name.get(name) == Some(id) {
            index.by_name.remove(name);
        }
    }

    /// Returns all containers in no particular order.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.read().by_id.values().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Reservation ===

impl Reservation {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The container exists now and keeps the name.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.kept {
            self.containers.write().by_name.remove(&self.name);
        }
    }
}

// === impl errors ===

impl Classified for LookupError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound(_) => ErrorClass::NotFound,
            Self::Ambiguous(_) => ErrorClass::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "container-not-found",
            Self::Ambiguous(_) => "ambiguous-id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::record::ContainerRecord;

    fn container(id: &str, name: &str) -> Arc<Container> {
        let record = serde_json::json!({
            "id": id.repeat(64 / id.len()), "name": name, "image": "i", "image_id": "", "layers": [],
            "created": std::time::SystemTime::UNIX_EPOCH, "config": {}, "host": {}, "mounts": [],
            "status": {},
        });
        let record: ContainerRecord = serde_json::from_value(record).expect("a record");
        Arc::new(Container::new(record, None))
    }

    #[test]
    fn a_container_is_found_by_id_name_and_unique_prefix() {
        let containers = Containers::default();
        containers.insert(container("ab", "one"));
        containers.insert(container("ac", "two"));
        for name in ["one", "/one", "ab", &"ab".repeat(32)] {
            assert_eq!(containers.find(name).expect(name).name(), "one");
        }
        assert!(matches!(
            containers.find("a"),
            Err(LookupError::Ambiguous(_))
        ));
        for name in ["", "/", "x", "three"] {
            assert!(
                matches!(containers.find(name), Err(LookupError::NotFound(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_is_free_again_when_creation_fails_and_after_removal() {
        let containers = Arc::new(Containers::default());
        let id = ContainerId::random();
        let reservation = containers.reserve("one", &id).expect("free");
        containers.reserve("one", &id).expect_err("taken");
        containers.find("one").expect_err("only reserved");
        drop(reservation);
        containers.reserve("one", &id).expect("free again").keep();
        let taken = container("ab", "two");
        containers.insert(Arc::clone(&taken));
        containers.remove(&taken);
        containers.reserve("two", &id).expect("free after removal");
    }
}
