//! The OCI layout's list of images, and the lists in it.

use super::docker::name;
use super::{Allowance, Content, LoadError, Planned, Spool, plan};
use crate::layout::{FULL_NAME, OCI_INDEX, OciEntry, OciIndex, SHORT_NAME, blob_path};
use crate::records::ManifestRecord;
use crate::registry::{ImageManifest, media_type};
use crate::{Digest, Platform, Reference};

/// How deep lists may be in one another; one is usual.
const MAX_NESTING: usize = 3;

/// Reads the list.
pub(super) fn read(spool: &Spool) -> Result<Vec<Planned>, LoadError> {
    let text = spool.text(OCI_INDEX)?.ok_or(LoadError::NoList)?;
    let index: OciIndex = json(OCI_INDEX, &text)?;
    let mut allowance = Allowance::default();
    let mut planned: Vec<Planned> = Vec::new();
    let n_entries = index.manifests.len();
    for entry in index.manifests {
        let names = names(&entry)?;
        let Some((digest, manifest)) = manifest_of(spool, entry)? else {
            continue;
        };
        let text = String::from_utf8(manifest).map_err(|_not_text| LoadError::NotText)?;
        let parsed: ImageManifest = json(digest.as_str(), text.as_bytes())?;
        if ![media_type::OCI_CONFIG, media_type::DOCKER_CONFIG]
            .contains(&parsed.config.media_type.as_str())
        {
            // A chart, a signature or the like.
            continue;
        }
        let config = content(spool, &parsed.config.digest)?;
        allowance.take(&config)?;
        let contents = parsed.layers.into_iter().map(|layer| Content {
            path: blob_path(&layer.digest),
            media_type: Some(layer.media_type),
            digest: Some(layer.digest),
        });
        let record = ManifestRecord {
            media_type: match parsed.media_type.as_str() {
                "" => media_type::OCI_MANIFEST.to_owned(),
                _ => parsed.media_type,
            },
            text,
        };
        let contents = contents.collect();
        merge(&mut planned, plan((config, Some(record)), names, contents)?);
    }
    if planned.is_empty() && n_entries > 0 {
        return Err(LoadError::NoPlatform);
    }
    Ok(planned)
}

/// An image with several names has an entry for each.
fn merge(planned: &mut Vec<Planned>, image: Planned) {
    match planned.iter_mut().find(|known| known.id == image.id) {
        Some(known) => known.names.extend(image.names),
        None => planned.push(image),
    }
}

/// Returns the manifest that an entry is, or that suits this machine best in the list that it is;
/// nothing when it is for another machine.
fn manifest_of(spool: &Spool, mut entry: OciEntry) -> Result<Option<(Digest, Vec<u8>)>, LoadError> {
    for _level in 0..MAX_NESTING {
        if suitability(&entry).is_none() {
            return Ok(None);
        }
        let text = content(spool, &entry.digest)?;
        match entry.media_type.as_str() {
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => {
                return Ok(Some((entry.digest, text)));
            }
            media_type::OCI_INDEX | media_type::DOCKER_LIST => {}
            // Signatures and the like.
            _ => return Ok(None),
        }
        let index: OciIndex = json(entry.digest.as_str(), &text)?;
        let mut best: Option<(u32, OciEntry)> = None;
        for each in index.manifests {
            if let Some(fit) = suitability(&each)
                && best.as_ref().is_none_or(|(most, _)| fit > *most)
            {
                best = Some((fit, each));
            }
        }
        let Some((_, chosen)) = best else {
            return Ok(None);
        };
        entry = chosen;
    }
    Err(LoadError::TooMany {
        what: "lists in one another",
    })
}

/// Tells how well an entry suits this machine; one that says nothing suits.
fn suitability(entry: &OciEntry) -> Option<u32> {
    let Some(platform) = &entry.platform else {
        return Some(1);
    };
    if platform.os.is_empty() {
        return Some(1);
    }
    Platform::host().suitability(&Platform {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
    })
}

fn names(entry: &OciEntry) -> Result<Vec<Reference>, LoadError> {
    let full = entry.annotations.get(FULL_NAME);
    let short = entry.annotations.get(SHORT_NAME);
    // A tag alone says nothing about the repository.
    let short = short.filter(|text| text.contains([':', '/']));
    full.or(short).map(|text| name(text)).into_iter().collect()
}

/// Reads content by its digest, which must be right.
fn content(spool: &Spool, digest: &Digest) -> Result<Vec<u8>, LoadError> {
    let path = blob_path(digest);
    let bytes = spool.needed(&path)?;
    let actual = Digest::of(&bytes);
    if actual != *digest {
        return Err(LoadError::Digest { path, actual });
    }
    Ok(bytes)
}

fn json<T: serde::de::DeserializeOwned>(what: &str, text: &[u8]) -> Result<T, LoadError> {
    serde_json::from_slice(text).map_err(|source| LoadError::Json {
        what: what.to_owned(),
        source,
    })
}
