//! From the formats of earlier docker-machines to the one of today, one file a step.
//!
//! A document is changed in memory when it is read, and written when the machine is next saved
//! (then the former text stays as `config.json.bak`): reading changes no file, so that `ls` needs
//! no lock. What a step does not know is kept where it is.

mod v0_to_v1;
mod v1_to_v2;
mod v2_to_v3;

use serde_json::{Map, Value};

use crate::ConfigError;
use crate::config::CONFIG_VERSION;

/// Key of the format's version; absent in the first one.
const VERSION: &str = "ConfigVersion";

/// Brings a document to the format of today.
pub(crate) fn to_current(document: &mut Value) -> Result<(), ConfigError> {
    let Some(document) = document.as_object_mut() else {
        return Err(ConfigError::Missing("ConfigVersion"));
    };
    let version = match document.get(VERSION) {
        None => 0,
        Some(version) => version.as_u64().ok_or(ConfigError::Missing(VERSION))?,
    };
    if version > CONFIG_VERSION {
        return Err(ConfigError::Future(version));
    }
    if !document.get("DriverName").is_some_and(Value::is_string) {
        return Err(ConfigError::Missing("DriverName"));
    }
    if !document.get("Driver").is_some_and(Value::is_object) {
        return Err(ConfigError::Missing("Driver"));
    }
    let steps = [v0_to_v1::apply, v1_to_v2::apply, v2_to_v3::apply];
    for (from, step) in (0..).zip(steps) {
        if version <= from {
            step(document);
            set(document, VERSION, Value::from(from + 1));
        }
    }
    Ok(())
}

/// Returns the object under `key`, making one where there is none.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert_with(empty);
    if !value.is_object() {
        *value = empty();
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object just before"),
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

fn set(document: &mut Map<String, Value>, key: &str, value: Value) {
    document.insert(key.to_owned(), value);
}

/// Sets `key` unless it says something already.
fn fill(document: &mut Map<String, Value>, key: &str, value: Value) {
    let old = document.get(key);
    if old.is_none_or(|old| old.is_null() || old.as_str() == Some("")) {
        set(document, key, value);
    }
}

fn text<'a>(document: &'a Map<String, Value>, key: &str) -> &'a str {
    document.get(key).and_then(Value::as_str).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn migrated(mut document: Value) -> Value {
        to_current(&mut document).unwrap();
        document
    }

    #[test]
    fn first_format_is_flat_and_becomes_nested() {
        let old = json!({
            "DriverName": "virtualbox",
            "Driver": {"IPAddress": "192.168.99.100", "SSHPort": 53507, "MachineName": "dev", "CPU": -1},
            "StorePath": "/home/me/.docker/machine/machines/dev",
            "CaCertPath": "/home/me/.docker/machine/certs/ca.pem",
            "PrivateKeyPath": "/home/me/.docker/machine/certs/ca-key.pem",
            "ServerCertPath": "/home/me/.docker/machine/machines/dev/server.pem",
            "ClientCertPath": "/home/me/.docker/machine/certs/cert.pem",
            "SwarmHost": "tcp://0.0.0.0:3376",
            "SwarmMaster": true,
            "HostOptions": {"EngineOptions": {"Labels": ["a=b"]}},
            "Later": [1, 2],
        });
        let new = migrated(old);
        assert_eq!(new["ConfigVersion"], 3);
        assert_eq!(new["Name"], "dev");
        let auth = &new["HostOptions"]["AuthOptions"];
        assert_eq!(
            auth["CaPrivateKeyPath"],
            "/home/me/.docker/machine/certs/ca-key.pem"
        );
        assert_eq!(auth["CertDir"], "/home/me/.docker/machine/certs");
        assert_eq!(auth["StorePath"], "/home/me/.docker/machine/machines/dev");
        assert_eq!(new["HostOptions"]["SwarmOptions"]["Master"], true);
        assert_eq!(new["HostOptions"]["EngineOptions"]["Labels"][0], "a=b");
        assert_eq!(new["Driver"]["StorePath"], "/home/me/.docker/machine");
        assert_eq!(new["Driver"]["CPU"], -1);
        assert_eq!(new["Later"][1], 2);
        assert!(new.get("StorePath").is_none() && new.get("CaCertPath").is_none());
    }

    #[test]
    fn second_format_calls_the_authoritys_key_by_another_name() {
        let new = migrated(json!({
            "ConfigVersion": 1,
            "Driver": {"MachineName": "foobar", "HostOnlyCIDR": "192.168.99.1/24"},
            "DriverName": "virtualbox",
            "HostOptions": {"AuthOptions": {
                "StorePath": "",
                "CaCertPath": "/m/certs/ca.pem",
                "PrivateKeyPath": "/m/certs/ca-key.pem",
                "ServerCertPath": "/m/machines/foobar/server.pem",
            }},
            "StorePath": "/m/machines/foobar",
        }));
        let auth = &new["HostOptions"]["AuthOptions"];
        assert_eq!(auth["CaPrivateKeyPath"], "/m/certs/ca-key.pem");
        assert!(auth.get("PrivateKeyPath").is_none());
        assert_eq!(
            (&auth["CertDir"], &auth["StorePath"]),
            (&json!("/m/certs"), &json!("/m/machines/foobar"))
        );
        assert_eq!(new["Driver"]["StorePath"], "/m");
    }

    #[test]
    fn third_format_lacks_the_store_in_the_driver() {
        let new = migrated(json!({
            "ConfigVersion": 2,
            "Driver": {"MachineName": "d", "DropletID": 12},
            "DriverName": "digitalocean",
            "HostOptions": {"AuthOptions": {"CertDir": "/m/certs", "StorePath": "/m/machines/d"}},
            "Name": "d",
        }));
        assert_eq!(new["Driver"]["StorePath"], "/m");
        assert_eq!(new["Driver"]["DropletID"], 12);
        let keys: Vec<_> = new.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "ConfigVersion",
                "Driver",
                "DriverName",
                "HostOptions",
                "Name"
            ]
        );
    }

    #[test]
    fn what_is_no_machine_is_refused_in_every_format() {
        for version in 0..=3 {
            let mut document = json!({"ConfigVersion": version, "Driver": {}});
            assert!(matches!(
                to_current(&mut document),
                Err(ConfigError::Missing("DriverName"))
            ));
        }
        for document in [
            json!([]),
            json!(null),
            json!({"ConfigVersion": "3"}),
            json!({"ConfigVersion": -1}),
        ] {
            to_current(&mut document.clone()).unwrap_err();
        }
    }
}
