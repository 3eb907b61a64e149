//! Version 0, of docker-machine 0.1, was flat: paths and swarm options stood beside the driver.

use serde_json::{Map, Value};

use super::{fill, object};

/// Paths that move into `HostOptions.AuthOptions` under their own names.
const PATHS: [&str; 6] = [
    "CaCertPath",
    "PrivateKeyPath",
    "ServerCertPath",
    "ServerKeyPath",
    "ClientKeyPath",
    "ClientCertPath",
];

/// Swarm options that move into `HostOptions.SwarmOptions`, and their names there.
const SWARM: [(&str, &str); 3] = [
    ("SwarmHost", "Host"),
    ("SwarmMaster", "Master"),
    ("SwarmDiscovery", "Discovery"),
];

pub(super) fn apply(document: &mut Map<String, Value>) {
    let paths = PATHS.map(|key| (key, document.shift_remove(key)));
    let swarm = SWARM.map(|(key, name)| (name, document.shift_remove(key)));
    let store = document.get("StorePath").cloned();
    let options = object(document, "HostOptions");
    // Some programs of that time wrote the nested form beside the flat one.
    object(options, "EngineOptions");
    let nested = object(options, "SwarmOptions");
    for (name, value) in swarm {
        if let Some(value) = value {
            fill(nested, name, value);
        }
    }
    let auth = object(options, "AuthOptions");
    if let Some(store) = store {
        fill(auth, "StorePath", store);
    }
    for (name, value) in paths {
        if let Some(value) = value {
            fill(auth, name, value);
        }
    }
}
