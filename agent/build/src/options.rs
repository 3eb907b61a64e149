//! What is asked of a build.

use std::collections::BTreeMap;

use berth_agent_images::Credentials;

/// A build to do.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Names for the result; may be empty.
    pub tags: Vec<String>,
    /// Path of the Dockerfile inside the context; empty: `Dockerfile`.
    pub dockerfile: String,
    /// The Dockerfile itself, when it is not in the context.
    pub dockerfile_text: Option<String>,
    /// Values for `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// Stage to stop at, by name or number; empty: the last.
    pub target: String,
    /// Run every step, even those done before.
    pub no_cache: bool,
    /// Labels for the result.
    pub labels: BTreeMap<String, String>,
    /// Ask the registry for base images even if they are here.
    pub pull: bool,
    /// What the result is for (`os/arch[/variant]`); empty: this machine.
    pub platform: String,
    /// Network of `RUN`: `""`, `default`, `bridge`, `host` or `none`.
    pub network_mode: String,
    /// Credentials for base images, by registry.
    pub registry_auths: BTreeMap<String, Credentials>,
}

// === impl BuildOptions ===

impl BuildOptions {
    /// The Dockerfile's path inside the context.
    #[must_use]
    pub fn dockerfile_path(&self) -> &str {
        if self.dockerfile.is_empty() {
            "Dockerfile"
        } else {
            &self.dockerfile
        }
    }
}
