//! `config.json`, version 3, as docker-machine writes it.
//!
//! The document is kept as it came, unknown keys included; this type only gives names to the
//! places that berth reads and writes. Documents of versions 0 to 2 are understood, too.

use std::path::Path;

use berth_provisioners_api::numbers;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::swarm::swarm_options;
use crate::{CertPaths, MachineName, MachinePaths, SwarmOptions, migrations, relocate};

/// The version of the format, which must stay: old tools refuse a higher one.
pub(crate) const CONFIG_VERSION: u64 = 3;

/// One machine's `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct HostConfig {
    document: Value,
    damage: Option<String>,
}

/// A document is not a `config.json` of this version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not JSON.
    #[error("not JSON")]
    Syntax(#[source] serde_json::Error),
    /// It was written by a later program.
    #[error("config version is from the future: {0} is more than {CONFIG_VERSION}")]
    Future(u64),
    /// A key that every machine has is missing.
    #[error("key {0} is missing")]
    Missing(&'static str),
}

/// What `create` was told about the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// Further options of the engine, `key=value`.
    pub arbitrary_flags: Vec<String>,
    /// Environment of the engine, `KEY=VALUE`.
    pub env: Vec<String>,
    /// Registries that may be spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Mirrors of the public registry.
    pub registry_mirrors: Vec<String>,
    /// Labels of the engine, `key=value`.
    pub labels: Vec<String>,
    /// The storage driver, empty for the engine's choice.
    pub storage_driver: String,
    /// Where docker-machine would install the engine from; kept, not used.
    pub install_url: String,
}

impl HostConfig {
    /// Returns the document of a new machine.
    #[must_use]
    pub fn new(
        name: &MachineName,
        driver_name: &str,
        engine: &EngineOptions,
        sans: &[String],
        (certs, paths): (&CertPaths, &MachinePaths),
    ) -> Self {
        let document = json!({
            "ConfigVersion": CONFIG_VERSION,
            "Driver": {},
            "DriverName": driver_name,
            "HostOptions": {
                "Driver": "",
                "Memory": 0,
                "Disk": 0,
                "EngineOptions": engine_options(engine),
                "SwarmOptions": swarm_options(&SwarmOptions::default()),
                "AuthOptions": auth_options(certs, paths, sans),
            },
            "Name": name.as_str(),
        });
        Self {
            document,
            damage: None,
        }
    }

    /// Reads a document of any version up to this one.
    ///
    /// # Errors
    ///
    /// When it is none of these.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        let lossy = String::from_utf8_lossy(text);
        let mut document: Value =
            serde_json::from_str(&numbers::keep(&lossy)).map_err(ConfigError::Syntax)?;
        migrations::to_current(&mut document)?;
        Ok(Self {
            document,
            damage: None,
        })
    }

    /// Returns what was wrong with the file when a copy of it had to stand in, for the operator.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    pub(crate) fn set_damage(&mut self, damage: String) {
        self.damage.get_or_insert(damage);
    }

    /// Makes paths that lead into the store where the document was written lead into `root`.
    pub(crate) fn settle(&mut self, root: &Path) {
        let written = self.document.as_object().and_then(relocate::root_on_record);
        let root = path_text(root);
        if let Some(written) = written.filter(|written| *written != root) {
            relocate::relocate(&mut self.document, &written, &root);
        }
    }

    /// Gives the machine the name `name`, and the files at `certs` and `paths`.
    ///
    /// Paths that led into its former folder lead into the new one.
    pub fn move_to(
        &mut self,
        name: &MachineName,
        (certs, paths): (&CertPaths, &MachinePaths),
        former: &str,
    ) {
        let folder = path_text(&paths.directory);
        if !former.is_empty() {
            relocate::relocate(&mut self.document, former, &folder);
        }
        let root = certs.directory.parent().map(path_text).unwrap_or_default();
        if let Some(written) = self
            .document
            .as_object()
            .and_then(relocate::root_on_record)
            .filter(|written| *written != root)
        {
            relocate::relocate(&mut self.document, &written, &root);
        }
        let sans = self.certificate_names();
        self.document["HostOptions"]["AuthOptions"] = auth_options(certs, paths, &sans);
        self.document["Driver"]["MachineName"] = Value::from(name.as_str());
        self.document["Driver"]["StorePath"] = Value::from(root);
        self.document["Name"] = Value::from(name.as_str());
    }

    /// Returns the machine's folder as the document has it; empty when it does not say.
    #[must_use]
    pub fn folder(&self) -> &str {
        self.document["HostOptions"]["AuthOptions"]["StorePath"]
            .as_str()
            .unwrap_or_default()
    }

    /// Replaces paths at or below `from` by paths below `to`, in the whole document.
    pub fn replace_paths(&mut self, from: &str, to: &str) {
        relocate::relocate(&mut self.document, from, to);
    }

    /// Returns the document for people and templates: numbers that are too long are the nearest
    /// ones that there are.
    #[must_use]
    pub fn view(&self) -> Value {
        let mut view = self.document.clone();
        numbers::approximate(&mut view);
        view
    }

    /// Returns the document as docker-machine lays it out: four spaces, no newline at the end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        numbers::restore(to_indented(&self.document))
    }

    /// Returns the whole document.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Returns the driver's name.
    #[must_use]
    pub fn driver_name(&self) -> &str {
        self.document["DriverName"].as_str().unwrap_or_default()
    }

    /// Returns the driver's own configuration.
    #[must_use]
    pub fn driver(&self) -> &Value {
        &self.document["Driver"]
    }

    /// Replaces the driver's own configuration.
    pub fn set_driver(&mut self, driver: Value) {
        self.document["Driver"] = driver;
    }

    /// Replaces what is on record about docker-machine's old kind of swarm.
    pub fn set_swarm(&mut self, swarm: &SwarmOptions) {
        self.document["HostOptions"]["SwarmOptions"] = swarm_options(swarm);
    }

    /// Returns the address that the driver wrote down last, if any.
    #[must_use]
    pub fn ip_address(&self) -> Option<&str> {
        self.driver()["IPAddress"]
            .as_str()
            .filter(|address| !address.is_empty())
    }

    /// Returns what `create` was told about the engine.
    #[must_use]
    pub fn engine(&self) -> EngineOptions {
        let options = &self.document["HostOptions"]["EngineOptions"];
        let text = |key: &str| options[key].as_str().unwrap_or_default().to_owned();
        EngineOptions {
            arbitrary_flags: texts(&options["ArbitraryFlags"]),
            env: texts(&options["Env"]),
            insecure_registries: texts(&options["InsecureRegistry"]),
            registry_mirrors: texts(&options["RegistryMirror"]),
            labels: texts(&options["Labels"]),
            storage_driver: text("StorageDriver"),
            install_url: text("InstallURL"),
        }
    }

    /// Returns the further names that the machine's certificate shall have.
    #[must_use]
    pub fn certificate_names(&self) -> Vec<String> {
        texts(&self.document["HostOptions"]["AuthOptions"]["ServerCertSANs"])
    }
}

/// Writes JSON with four spaces, as Go does it for docker-machine.
pub(crate) fn to_indented(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Writing to memory cannot fail, and all keys are texts.
    let _ = value.serialize(&mut serializer);
    bytes
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn engine_options(engine: &EngineOptions) -> Value {
    json!({
        "ArbitraryFlags": engine.arbitrary_flags,
        "Dns": null,
        "GraphDir": "",
        "Env": engine.env,
        "Ipv6": false,
        "InsecureRegistry": engine.insecure_registries,
        "Labels": engine.labels,
        "LogLevel": "",
        "StorageDriver": engine.storage_driver,
        "SelinuxEnabled": false,
        "TlsVerify": true,
        "RegistryMirror": engine.registry_mirrors,
        "InstallURL": engine.install_url,
    })
}

fn auth_options(certs: &CertPaths, paths: &MachinePaths, sans: &[String]) -> Value {
    json!({
        "CertDir": path_text(&certs.directory),
        "CaCertPath": path_text(&certs.ca),
        "CaPrivateKeyPath": path_text(&certs.ca_key),
        "CaCertRemotePath": "",
        "ServerCertPath": path_text(&paths.server),
        "ServerKeyPath": path_text(&paths.server_key),
        "ClientKeyPath": path_text(&certs.key),
        "ServerCertRemotePath": "",
        "ServerKeyRemotePath": "",
        "ClientCertPath": path_text(&certs.cert),
        "ServerCertSANs": sans,
        "StorePath": path_text(&paths.directory),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fresh() -> HostConfig {
        HostConfig::new(
            &"g1".parse().unwrap(),
            "generic",
            &EngineOptions {
                labels: vec!["a=b".to_owned()],
                ..EngineOptions::default()
            },
            &["foo.bar".to_owned()],
            (
                &CertPaths::new("/store/certs".into()),
                &MachinePaths::new("/store/machines/g1".into()),
            ),
        )
    }

    #[test]
    fn new_document_is_laid_out_as_docker_machine_lays_it_out() {
        let text = String::from_utf8(fresh().to_bytes()).unwrap();
        assert!(
            text.starts_with("{\n    \"ConfigVersion\": 3,\n    \"Driver\": {},"),
            "{text}"
        );
        assert!(text.ends_with("\n    \"Name\": \"g1\"\n}"), "{text}");
        assert!(text.contains("\"StorePath\": \"/store/machines/g1\""));
        let again = HostConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(again, fresh());
        assert_eq!(again.engine().labels, ["a=b"]);
        assert_eq!(again.certificate_names(), ["foo.bar"]);
    }

    #[test]
    fn documents_of_other_versions_are_refused() {
        let parse = |text: &str| HostConfig::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(
            parse(r#"{"ConfigVersion":4}"#),
            ConfigError::Future(4)
        ));
        assert!(matches!(parse("{}"), ConfigError::Missing("DriverName")));
        assert!(matches!(parse("{"), ConfigError::Syntax(_)));
        assert!(matches!(
            parse(r#"{"ConfigVersion":3,"DriverName":"x"}"#),
            ConfigError::Missing("Driver")
        ));
    }

    #[test]
    fn machine_gets_another_name_and_folder() {
        let mut config = fresh();
        config.set_driver(json!({
            "MachineName": "g1", "SSHKeyPath": "/store/machines/g1/id", "StorePath": "/store",
            "SSHKey": "/home/me/id", "Id": 1,
        }));
        let text = String::from_utf8(config.to_bytes()).unwrap();
        let huge = text.replace("\"Id\": 1", "\"Id\": 123456789012345678901234567890");
        let mut config = HostConfig::parse(huge.as_bytes()).unwrap();
        let certs = CertPaths::new("/new/certs".into());
        let paths = MachinePaths::new("/new/machines/g2".into());
        let former = config.folder().to_owned();
        config.move_to(&"g2".parse().unwrap(), (&certs, &paths), &former);
        let driver = config.driver();
        assert_eq!(driver["SSHKeyPath"], "/new/machines/g2/id");
        assert_eq!(driver["SSHKey"], "/home/me/id");
        assert_eq!(
            (&driver["StorePath"], &driver["MachineName"]),
            (&json!("/new"), &json!("g2"))
        );
        assert_eq!(config.folder(), "/new/machines/g2");
        assert_eq!(config.certificate_names(), ["foo.bar"]);
        let text = String::from_utf8(config.to_bytes()).unwrap();
        assert!(
            text.contains("\"Id\": 123456789012345678901234567890\n"),
            "{text}"
        );
        assert!(!text.contains("/store"), "{text}");
    }

    proptest! {
        #[test]
        fn keys_that_berth_does_not_know_survive(key in "[A-Z][a-z]{1,8}X", number in any::<i64>()) {
            let mut config = fresh();
            let mut driver = json!({"IPAddress": "10.0.0.1"});
            driver[&key] = json!(number);
            config.set_driver(driver.clone());
            let again = HostConfig::parse(&config.to_bytes()).unwrap();
            prop_assert_eq!(again.driver(), &driver);
            prop_assert_eq!(again.ip_address(), Some("10.0.0.1"));
        }
    }
}
