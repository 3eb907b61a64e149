//! Names and passwords for registries, from Docker's `config.json` and its credential helpers.

mod config;
mod helper;

use std::collections::HashMap;

use berth_proto::v1::RegistryAuth;

use crate::failure::Failure;
use crate::spec::image;

pub(crate) use config::{ConfigFile, Entry};

/// The key under which Docker keeps the credentials of its own hub.
pub(crate) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The credentials for the registry that an image's name leads to; `None` when there are none.
///
/// A credential helper that fails is told and taken as "none": a public image needs no password.
pub(crate) fn for_image(name: &str) -> Result<Option<RegistryAuth>, Failure> {
    let config = ConfigFile::load()?;
    Ok(for_key(&config, key(image::registry(name))))
}

fn for_key(config: &ConfigFile, key: &str) -> Option<RegistryAuth> {
    if let Some(program) = config.helper(key) {
        match helper::get(program, key) {
            Ok(found) => return found.map(helper::Credentials::into_auth),
            Err(error) => crate::ui::warn(&format!("credentials for {key}: {error}")),
        }
    }
    config.entry(key).and_then(Entry::into_auth)
}

/// The credentials for every registry that there are some for, by the registry's name: a build learns
/// only from its Dockerfile which ones it needs.
pub(crate) fn all() -> Result<HashMap<String, RegistryAuth>, Failure> {
    let config = ConfigFile::load()?;
    let mut keys = config.keys();
    if let Some(program) = config.general_helper() {
        match helper::list(program) {
            Ok(listed) => keys.extend(listed),
            Err(error) => crate::ui::warn(&format!("credentials: {error}")),
        }
    }
    let mut all = HashMap::new();
    for key in keys {
        if let Some(auth) = for_key(&config, &key) {
            all.insert(registry_of(&key).to_owned(), auth);
        }
    }
    Ok(all)
}

/// The registry whose credentials are kept under `key`.
fn registry_of(key: &str) -> &str {
    match config::host(key) {
        "index.docker.io" | "registry-1.docker.io" => image::DOCKER_HUB,
        host => host,
    }
}

/// Stores credentials for a registry; returns where.
pub(crate) fn store(server: &str, user: &str, secret: &str) -> Result<String, Failure> {
    let mut config = ConfigFile::load()?;
    let key = key(server);
    if let Some(program) = config.helper(key) {
        helper::store(program, key, user, secret).map_err(|error| Failure::because(&error))?;
        return Ok(format!("credential helper {program}"));
    }
    config.set(key, user, secret);
    config.save()
}

/// Forgets the credentials for a registry.
pub(crate) fn erase(server: &str) -> Result<(), Failure> {
    let mut config = ConfigFile::load()?;
    let key = key(server);
    if let Some(program) = config.helper(key) {
        helper::erase(program, key).map_err(|error| Failure::because(&error))?;
    }
    config.remove(key);
    config.save().map(drop)
}

/// The name under which a registry's credentials are kept.
fn key(registry: &str) -> &str {
    match registry {
        image::DOCKER_HUB | "index.docker.io" | "registry-1.docker.io" => HUB_KEY,
        other => other,
    }
}
