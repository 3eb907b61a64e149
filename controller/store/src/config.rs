//! `config.json`, version 3, as docker-machine writes it.
//!
//! The document is kept as it came, unknown keys included; this type only gives names to the
//! places that berth reads and writes.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{CertPaths, MachineName, MachinePaths};

/// The version of the format, which must stay: old tools refuse a higher one.
pub(crate) const CONFIG_VERSION: u64 = 3;

/// One machine's `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct HostConfig {
    document: Value,
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
    /// It was written by a program of long ago.
    #[error("config version {0} is too old; docker-machine 0.16 converts it when it loads it")]
    Old(u64),
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
                "SwarmOptions": swarm_options(),
                "AuthOptions": auth_options(certs, paths, sans),
            },
            "Name": name.as_str(),
        });
        Self { document }
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// When it is not one of this version.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        let document: Value = serde_json::from_slice(text).map_err(ConfigError::Syntax)?;
        match document.get("ConfigVersion").and_then(Value::as_u64) {
            Some(CONFIG_VERSION) => {}
            Some(version) if version > CONFIG_VERSION => return Err(ConfigError::Future(version)),
            version => return Err(ConfigError::Old(version.unwrap_or(0))),
        }
        if !document.get("DriverName").is_some_and(Value::is_string) {
            return Err(ConfigError::Missing("DriverName"));
        }
        if !document.get("Driver").is_some_and(Value::is_object) {
            return Err(ConfigError::Missing("Driver"));
        }
        Ok(Self { document })
    }

    /// Returns the document as docker-machine lays it out: four spaces, no newline at the end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_indented(&self.document)
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

fn swarm_options() -> Value {
    json!({
        "IsSwarm": false,
        "Address": "",
        "Discovery": "",
        "Agent": false,
        "Master": false,
        "Host": "tcp://0.0.0.0:3376",
        "Image": "swarm:latest",
        "Strategy": "spread",
        "Heartbeat": 0,
        "Overcommit": 0,
        "ArbitraryFlags": [],
        "ArbitraryJoinFlags": [],
        "Env": null,
        "IsExperimental": false,
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
        assert!(matches!(
            parse(r#"{"ConfigVersion":1}"#),
            ConfigError::Old(1)
        ));
        assert!(matches!(parse("{}"), ConfigError::Old(0)));
        assert!(matches!(parse("{"), ConfigError::Syntax(_)));
        assert!(matches!(
            parse(r#"{"ConfigVersion":3,"DriverName":"x"}"#),
            ConfigError::Missing("Driver")
        ));
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
