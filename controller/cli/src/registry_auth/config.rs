//! Docker's `config.json`, of which only the credentials concern us; the rest is kept as it is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_proto::v1::RegistryAuth;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The file's content.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    content: Map<String, Value>,
}

/// What is kept for one registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) identity_token: String,
    pub(crate) registry_token: String,
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads the file; one that does not exist is empty.
    pub(crate) fn load() -> Result<Self, Failure> {
        let directory = match std::env::var_os("DOCKER_CONFIG") {
            Some(directory) if !directory.is_empty() => PathBuf::from(directory),
            _ => std::env::home_dir().unwrap_or_default().join(".docker"),
        };
        Self::read(&directory.join("config.json"))
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let content = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Failure::during(&format!("reading {}", path.display()), &error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Map::new(),
            Err(error) => {
                return Err(Failure::during(
                    &format!("reading {}", path.display()),
                    &error,
                ));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    /// What the file has under a key of its top.
    pub(crate) fn setting(&self, key: &str) -> Option<&Value> {
        self.content.get(key)
    }

    /// The credential helper for a registry.
    pub(crate) fn helper(&self, key: &str) -> Option<&str> {
        let own = self
            .content
            .get("credHelpers")
            .and_then(|helpers| helpers.get(key));
        match own.and_then(Value::as_str) {
            Some(program) => (!program.is_empty()).then_some(program),
            None => self.general_helper(),
        }
    }

    /// The helper for registries without one of their own.
    pub(crate) fn general_helper(&self) -> Option<&str> {
        let program = self.content.get("credsStore")?.as_str()?;
        (!program.is_empty()).then_some(program)
    }

    /// The keys that the file itself knows.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        let of = |name: &str| self.content.get(name).and_then(Value::as_object);
        let tables = [of("auths"), of("credHelpers")];
        let keys = tables.into_iter().flatten().flat_map(Map::keys);
        keys.cloned().collect()
    }

    /// What the file itself has for a registry; keys may be written as addresses.
    pub(crate) fn entry(&self, key: &str) -> Option<Entry> {
        let auths = self.content.get("auths")?.as_object()?;
        let wanted = host(key);
        let found = auths.get(key).or_else(|| {
            let same = auths.iter().find(|(known, _)| host(known) == wanted);
            same.map(|(_, entry)| entry)
        })?;
        Entry::read(found)
    }

    /// Keeps a name and a password for a registry.
    pub(crate) fn set(&mut self, key: &str, user: &str, password: &str) {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(key.to_owned(), json!({ "auth": auth }));
        }
    }

    /// Forgets a registry.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Some(auths) = self.content.get_mut("auths").and_then(Value::as_object_mut) {
            let wanted = host(key);
            auths.retain(|known, _| known != key && host(known) != wanted);
        }
    }

    /// Writes the file, for nobody else to read; returns its path.
    pub(crate) fn save(&self) -> Result<String, Failure> {
        let shown = self.path.display().to_string();
        let write = || -> std::io::Result<()> {
            if let Some(directory) = self.path.parent() {
                fs::create_dir_all(directory)?;
                fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
            }
            let temporary = self
                .path
                .with_extension(format!("json.{}", std::process::id()));
            let mut options = fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            let text = crate::ui::json::tabbed(&Value::Object(self.content.clone()));
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        };
        write().map_err(|error| Failure::during(&format!("writing {shown}"), &error))?;
        Ok(shown)
    }
}

/// Returns the host of a key such as "https://registry.example/v2/".
pub(super) fn host(key: &str) -> &str {
    let bare = key
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    bare.split('/').next().unwrap_or(bare)
}

// === impl Entry ===

impl Entry {
    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| {
            let text = value.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let mut entry = Self {
            user: text("username"),
            password: text("password"),
            identity_token: text("identitytoken"),
            registry_token: text("registrytoken"),
        };
        let auth = text("auth");
        if !auth.is_empty() {
            let decoded = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
            let (user, password) = decoded.split_once(':')?;
            entry.user = user.to_owned();
            entry.password = password.trim_end_matches('\0').to_owned();
        }
        Some(entry)
    }

    /// The entry as the agent takes it; `None` when there is nothing in it.
    pub(crate) fn into_auth(self) -> Option<RegistryAuth> {
        (self != Self::default()).then_some(RegistryAuth {
            username: self.user,
            password: self.password,
            identity_token: self.identity_token,
            registry_token: self.registry_token,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(content: Value) -> ConfigFile {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs::write(&path, content.to_string()).unwrap();
        ConfigFile::read(&path).unwrap()
    }

    #[test]
    fn credentials_are_found_by_host_however_the_key_is_written() {
        let found = config(json!({"auths": {
            "https://reg.example:5000/v2/": {"auth": STANDARD.encode("ann:a:b")},
            "https://index.docker.io/v1/": {"identitytoken": "tok"},
        }}));
        let entry = found.entry("reg.example:5000").unwrap();
        assert_eq!(
            (entry.user.as_str(), entry.password.as_str()),
            ("ann", "a:b")
        );
        assert_eq!(
            found.entry(super::super::HUB_KEY).unwrap().identity_token,
            "tok"
        );
        assert_eq!(found.entry("other"), None);
    }

    #[test]
    fn a_registrys_own_helper_comes_before_the_general_one() {
        let found = config(json!({"credsStore": "all", "credHelpers": {"a": "own"}}));
        assert_eq!(found.helper("a"), Some("own"));
        assert_eq!(found.helper("b"), Some("all"));
        assert_eq!(config(json!({})).helper("a"), None);
    }

    #[test]
    fn what_is_stored_is_private_and_keeps_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/config.json");
        let mut file = ConfigFile::read(&path).unwrap();
        file.content.insert("currentContext".to_owned(), json!("x"));
        file.set("reg:5000", "ann", "pw");
        file.save().unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let mut again = ConfigFile::read(&path).unwrap();
        assert_eq!(again.content["currentContext"], "x");
        assert_eq!(again.entry("reg:5000").unwrap().password, "pw");
        again.remove("https://reg:5000");
        assert_eq!(again.entry("reg:5000"), None);
    }
}
