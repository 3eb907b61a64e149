//! Docker's list of images.

use super::spool::clean;
use super::{Allowance, Content, LoadError, Planned, Spool, plan};
use crate::layout::{DOCKER_MANIFEST, DockerItem};
use crate::{LookupError, Reference};

/// Reads the list; nothing when there is none.
pub(super) fn read(spool: &Spool) -> Result<Option<Vec<Planned>>, LoadError> {
    let Some(text) = spool.text(DOCKER_MANIFEST)? else {
        return Ok(None);
    };
    let items: Vec<DockerItem> =
        serde_json::from_slice(&text).map_err(|source| LoadError::Json {
            what: DOCKER_MANIFEST.to_owned(),
            source,
        })?;
    let mut allowance = Allowance::default();
    let mut planned: Vec<Planned> = Vec::new();
    for item in items {
        let config = spool.needed(&item.config)?;
        allowance.take(&config)?;
        let names = item.repo_tags.unwrap_or_default();
        let names: Vec<Reference> = names.iter().map(|n| name(n)).collect::<Result<_, _>>()?;
        let layers = item.layers.unwrap_or_default().into_iter();
        let contents = layers.map(|path| Content {
            path: clean(&path),
            media_type: None,
            digest: None,
        });
        planned.push(plan((config, None), names, contents.collect())?);
    }
    Ok(Some(planned))
}

/// Reads a name with its tag.
pub(super) fn name(text: &str) -> Result<Reference, LoadError> {
    let wrong = |source| LoadError::Name {
        name: text.chars().take(300).collect(),
        source,
    };
    let reference = Reference::parse(text).map_err(|error| wrong(error.into()))?;
    if reference.digest().is_some() {
        return Err(wrong(LookupError::DigestAsTag));
    }
    Ok(reference.with_default_tag())
}
