//! Removing names and images, by Docker's rules.

use std::collections::{BTreeMap, HashSet};

use berth_agent_state::{StateError, Writer};

use super::chain::chain_ids;
use super::lookup::{is_prefix_of, resolve};
use super::{Images, LookupError};
use crate::records::{GarbageRecord, ImageRecord, ReferenceRecord};
use crate::{Digest, ErrorKind, ImageId, ImageUse, Reference, Removed, StoreError};

/// The reasons why an image cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It cannot be found.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A container uses it by this name, which is the only one.
    #[error(
        "conflict: unable to remove repository reference {name:?} (must force) - container \
         {container} is using its referenced image {image}"
    )]
    NameInUse {
        /// What was asked for.
        name: String,
        /// The container's short id.
        container: String,
        /// The image's short id.
        image: String,
    },
    /// Something else needs it.
    #[error("conflict: unable to delete {image} ({}) - {reason}", if *.is_forcible { "must be forced" } else { "cannot be forced" })]
    InUse {
        /// The image's short id.
        image: String,
        /// Who needs it.
        reason: String,
        /// Whether force helps.
        is_forcible: bool,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RemoveError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Lookup(source) => source.kind(),
            Self::NameInUse { .. } | Self::InUse { .. } => ErrorKind::Conflict,
            Self::Store(source) => source.kind(),
        }
    }
}

impl From<StateError> for RemoveError {
    fn from(error: StateError) -> Self {
        Self::Store(error.into())
    }
}

impl Images {
    /// Removes a name, and the image with it when that was the last one, as `docker rmi` does.
    ///
    /// Untagged parents go too unless `keep_parents` is set. Blocks while trees are deleted.
    ///
    /// # Errors
    ///
    /// Fails when there is no such image, or when somebody uses it.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        keep_parents: bool,
        in_use: &dyn Fn(&ImageId) -> Vec<ImageUse>,
    ) -> Result<Vec<Removed>, RemoveError> {
        let inner = &self.inner;
        // Asked before the transaction, in which nothing else may be read or waited for.
        let (id, uses) = inner.state.read(|reader| {
            let mut uses = BTreeMap::new();
            let id = resolve(reader, name)?;
            let mut next = Some(id.clone());
            while let Some(id) = next {
                next = reader
                    .get::<ImageRecord>(id.as_str())?
                    .and_then(|image| image.parent);
                let users = in_use(&id);
                if uses.insert(id, users).is_some() {
                    break;
                }
            }
            Ok::<_, LookupError>((id, uses))
        })?;
        let containers = inner.container_layers()?;
        let removed = inner.state.write(|writer| {
            let mut removal = Removal {
                writer,
                uses: &uses,
                force,
                keep_parents,
                chains: containers
                    .iter()
                    .flat_map(|layers| chain_ids(layers))
                    .collect(),
                removed: Vec::new(),
            };
            removal.remove(name, &id)?;
            let removed = removal.removed;
            if has_deleted(&removed) {
                writer.put(GarbageRecord::KEY, &GarbageRecord::default())?;
            }
            Ok::<_, RemoveError>(removed)
        })?;
        if has_deleted(&removed) {
            inner.collect()?;
        }
        Ok(removed)
    }
}

struct Removal<'a, 'w> {
    writer: &'a mut Writer<'w>,
    uses: &'a BTreeMap<ImageId, Vec<ImageUse>>,
    force: bool,
    keep_parents: bool,
    /// Stacks of layers that containers stand on.
    chains: HashSet<Digest>,
    removed: Vec<Removed>,
}

/// What keeps an image.
struct Obstacle {
    reason: String,
    is_forcible: bool,
}

impl Removal<'_, '_> {
    fn remove(&mut self, name: &str, id: &ImageId) -> Result<(), RemoveError> {
        let names = self.names(id)?;
        let is_by_id = is_prefix_of(name, id);
        if is_by_id {
            if is_single(&names) {
                // Its own name is no obstacle when the image is meant.
                self.check(id, false)?;
                for name in &names {
                    self.untag(name)?;
                }
            }
        } else {
            self.remove_name(name, id, &names)?;
            if !self.names(id)?.is_empty() {
                return Ok(());
            }
        }
        // An image that lost its last name stays quietly when somebody uses it.
        if !is_by_id && self.check(id, true).is_err() {
            return Ok(());
        }
        self.delete(id)
    }

    /// Removes one name, and with the last tag of a repository its digests there.
    fn remove_name(
        &mut self,
        name: &str,
        id: &ImageId,
        names: &[Reference],
    ) -> Result<(), RemoveError> {
        if !self.force
            && is_single(names)
            && let Some(user) = self.users(id).first()
        {
            return Err(RemoveError::NameInUse {
                name: name.to_owned(),
                container: short(&user.container),
                image: id.short().to_owned(),
            });
        }
        let reference = Reference::parse_definite(name).map_err(LookupError::from)?;
        let pointed = self.writer.get::<ReferenceRecord>(&reference.to_string())?;
        if pointed.is_none_or(|record| record.image != *id) {
            return Err(LookupError::NoSuchImage {
                name: reference.familiar(),
            }
            .into());
        }
        self.untag(&reference)?;
        if reference.digest().is_some() {
            return Ok(());
        }
        let rest = self.names(id)?;
        let same = |other: &&Reference| other.name() == reference.name();
        if rest
            .iter()
            .filter(same)
            .all(|other| other.digest().is_some())
        {
            for digest in rest.iter().filter(same) {
                self.untag(digest)?;
            }
        }
        Ok(())
    }

    /// Deletes an image without names, and then its parents as far as nobody wants them.
    fn delete(&mut self, id: &ImageId) -> Result<(), RemoveError> {
        self.check(id, true)?;
        let mut next = Some(id.clone());
        let mut is_first = true;
        while let Some(id) = next.take() {
            let Some(image) = self.writer.get::<ImageRecord>(id.as_str())? else {
                break;
            };
            if !is_first {
                let is_wanted = !self.names(&id)?.is_empty() || self.obstacle(&id, true)?.is_some();
                if is_wanted {
                    break;
                }
            }
            is_first = false;
            for name in self.names(&id)? {
                self.untag(&name)?;
            }
            self.writer.remove::<ImageRecord>(id.as_str())?;
            self.removed.push(Removed::Deleted(id.to_string()));
            self.report_layers(&image)?;
            if !self.keep_parents {
                next = image.parent;
            }
        }
        Ok(())
    }

    /// Tells which stacks of layers go with an image, the highest first.
    fn report_layers(&mut self, image: &ImageRecord) -> Result<(), RemoveError> {
        let mut kept = self.chains.clone();
        for (_id, other) in self.writer.list::<ImageRecord>()? {
            kept.extend(chain_ids(&other.layers()));
        }
        for chain in chain_ids(&image.layers()).into_iter().rev() {
            if !kept.contains(&chain) {
                self.removed.push(Removed::Deleted(chain.to_string()));
            }
        }
        Ok(())
    }

    fn check(&self, id: &ImageId, names_count: bool) -> Result<(), RemoveError> {
        match self.obstacle(id, names_count)? {
            Some(obstacle) if !(self.force && obstacle.is_forcible) => Err(RemoveError::InUse {
                image: id.short().to_owned(),
                reason: obstacle.reason,
                is_forcible: obstacle.is_forcible,
            }),
            _ => Ok(()),
        }
    }

    /// Returns the hardest reason for keeping an image.
    fn obstacle(&self, id: &ImageId, names_count: bool) -> Result<Option<Obstacle>, StateError> {
        let obstacle = |reason: String, is_forcible| {
            Ok(Some(Obstacle {
                reason,
                is_forcible,
            }))
        };
        let images = self.writer.list::<ImageRecord>()?;
        if images
            .iter()
            .any(|(_, image)| image.parent.as_ref() == Some(id))
        {
            return obstacle("image has dependent child images".to_owned(), false);
        }
        let users = self.users(id);
        if let Some(user) = users.iter().find(|user| user.running) {
            let container = short(&user.container);
            return obstacle(
                format!("image is being used by running container {container}"),
                false,
            );
        }
        if names_count && !self.force && !self.names(id)?.is_empty() {
            return obstacle(
                "image is referenced in multiple repositories".to_owned(),
                true,
            );
        }
        if let Some(user) = users.first() {
            let container = short(&user.container);
            return obstacle(
                format!("image is being used by stopped container {container}"),
                true,
            );
        }
        Ok(None)
    }

    fn users(&self, id: &ImageId) -> &[ImageUse] {
        self.uses.get(id).map_or(&[], Vec::as_slice)
    }

    fn names(&self, id: &ImageId) -> Result<Vec<Reference>, StateError> {
        Ok(self
            .writer
            .list::<ReferenceRecord>()?
            .into_iter()
            .filter(|(_, record)| record.image == *id)
            .filter_map(|(name, _)| Reference::parse(&name).ok())
            .collect())
    }

    fn untag(&mut self, name: &Reference) -> Result<(), StateError> {
        self.writer.remove::<ReferenceRecord>(&name.to_string())?;
        self.removed.push(Removed::Untagged(name.familiar()));
        Ok(())
    }
}

/// Tells whether all names are of one repository, with at most one tag.
fn is_single(names: &[Reference]) -> bool {
    let n_tags = names.iter().filter(|name| name.digest().is_none()).count();
    let repositories: HashSet<String> = names.iter().map(Reference::name).collect();
    n_tags <= 1 && repositories.len() <= 1
}

fn has_deleted(removed: &[Removed]) -> bool {
    removed
        .iter()
        .any(|line| matches!(line, Removed::Deleted(_)))
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}
