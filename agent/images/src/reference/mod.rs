//! Names of images, with Docker's shortcuts.
//!
//! `busybox` means `docker.io/library/busybox`, and the short ("familiar") form is what people are
//! shown. Deliberately not here: what a name stands for on this machine (see [`crate::Images`]).

mod grammar;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use crate::{Digest, ParseDigestError};

/// Docker's own registry, which names without a registry mean.
const DEFAULT_DOMAIN: &str = "docker.io";
/// Its old name.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// Where its images without an owner are.
const OFFICIAL: &str = "library/";
/// The tag of names without one.
const DEFAULT_TAG: &str = "latest";
/// The longest repository name that registries take.
const MAX_NAME_LENGTH: usize = 255;

/// A full name: registry, repository, and maybe a tag and a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What a user may type where an image is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyReference {
    /// A bare digest: an image id.
    Digest(Digest),
    /// A name.
    Named(Reference),
}

/// The reasons why a text is not a reference. The texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    /// It does not have the form of a name.
    #[error("invalid reference format")]
    Format,
    /// The repository has capital letters.
    #[error("invalid reference format: repository name ({name}) must be lowercase")]
    NormalizedUppercase {
        /// The repository without its registry.
        name: String,
    },
    /// The repository has capital letters (of a name that is taken as it is).
    #[error("repository name must be lowercase")]
    Uppercase,
    /// The repository name is too long.
    #[error("repository name must not be more than {MAX_NAME_LENGTH} characters")]
    TooLong,
    /// An image id stands where a name must.
    #[error("invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId {
        /// What was given.
        text: String,
    },
    /// Nothing was given.
    #[error("repository name must have at least one component")]
    Empty,
    /// The digest is malformed.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
}

// === impl Reference ===

impl Reference {
    /// Reads a name as users type it and completes it, without adding a tag.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the text, in Docker's words.
    pub fn parse(text: &str) -> Result<Self, ParseReferenceError> {
        if grammar::is_identifier(text) {
            return Err(ParseReferenceError::LooksLikeId {
                text: text.to_owned(),
            });
        }
        let (domain, remainder) = split_domain(text);
        let repository = match grammar::end_of_repository(&remainder) {
            Some(end) => &remainder[..end],
            None => &remainder,
        };
        if repository.to_lowercase() != repository {
            return Err(ParseReferenceError::NormalizedUppercase {
                name: repository.to_owned(),
            });
        }
        Self::parse_exact(&format!("{domain}/{remainder}"))
    }

    /// Reads a name without completing it: the registry stays empty where there is none.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the text, in Docker's words.
    pub fn parse_exact(text: &str) -> Result<Self, ParseReferenceError> {
        let parts = grammar::parse(text)?;
        Ok(Self {
            domain: parts.domain.to_owned(),
            path: parts.path.to_owned(),
            tag: parts.tag.map(str::to_owned),
            digest: parts.digest.map(str::parse).transpose()?,
        })
    }

    /// Reads a name as the engine uses it: with `latest` where there is neither tag nor digest, and
    /// without a tag where there is a digest.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the text, in Docker's words.
    pub fn parse_definite(text: &str) -> Result<Self, ParseReferenceError> {
        Ok(Self::parse(text)?.definite())
    }

    /// Returns the registry, `docker.io` for Docker's own.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the repository without its registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns registry and repository.
    #[must_use]
    pub fn name(&self) -> String {
        if self.domain.is_empty() {
            return self.path.clone();
        }
        format!("{}/{}", self.domain, self.path)
    }

    /// Returns registry and repository as people write them.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// Returns the whole reference as people write it.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// Returns the reference with `latest` where it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// Returns the reference with `latest` where it has neither tag nor digest, and without the tag
    /// where it has both.
    #[must_use]
    pub fn definite(mut self) -> Self {
        if self.digest.is_some() {
            self.tag = None;
        }
        self.with_default_tag()
    }

    /// Returns the reference to this content in the same repository.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Tells whether it has neither tag nor digest.
    #[must_use]
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

// === impl AnyReference ===

impl AnyReference {
    /// Reads an id (64 digits, with or without `sha256:`) or a name.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the text, in Docker's words.
    pub fn parse(text: &str) -> Result<Self, ParseReferenceError> {
        if grammar::is_identifier(text) {
            return Ok(Self::Digest(format!("sha256:{text}").parse()?));
        }
        match text.parse() {
            Ok(digest) => Ok(Self::Digest(digest)),
            Err(_not_a_digest) => Reference::parse(text).map(Self::Named),
        }
    }
}

impl fmt::Display for AnyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Named(reference) => reference.fmt(f),
        }
    }
}

/// Splits off the registry, or says which one is meant.
fn split_domain(text: &str) -> (String, String) {
    let is_domain = |first: &str| {
        first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first
    };
    let (domain, remainder) = match text.split_once('/') {
        Some((first, rest)) if is_domain(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, text),
    };
    let domain = if domain == LEGACY_DOMAIN {
        DEFAULT_DOMAIN
    } else {
        domain
    };
    let official = domain == DEFAULT_DOMAIN && !remainder.contains('/');
    let prefix = if official { OFFICIAL } else { "" };
    (domain.to_owned(), format!("{prefix}{remainder}"))
}
