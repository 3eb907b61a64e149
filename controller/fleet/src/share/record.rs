//! Records that leave a store or come into one.

use berth_controller_store::{
    EngineOptions, HostConfig, MachineName, MachineRecord, SideRecord, Store,
};
use berth_provisioners_api::BaseConfig;
use serde_json::{Value, json};

use super::bundle::Facts;

/// File of docker-machine's record.
pub(crate) const CONFIG: &str = "config.json";
/// File of our own record.
pub(crate) const SIDE: &str = "berth.json";
/// Stands for the machine's folder in a bundle.
pub(crate) const MACHINE: &str = "/@machine";
/// Stands for the root of the store in a bundle.
pub(crate) const STORE: &str = "/@store";
/// The driver for hosts that somebody else looks after.
pub(crate) const GENERIC: &str = "generic";

/// Gives a record that came from elsewhere its place in `store`.
pub(crate) fn settle(
    store: &Store,
    name: &MachineName,
    mut config: HostConfig,
    (facts, side): (&Facts, SideRecord),
) -> MachineRecord {
    let (certs, paths) = (store.certs(), store.machine(name));
    let key = config.driver()["SSHKeyPath"].as_str().unwrap_or_default();
    // A key that lay elsewhere has travelled in the machine's folder.
    if !key.is_empty() && !key.starts_with(MACHINE) && !facts.ssh_key.is_empty() {
        let mut driver = config.driver().clone();
        driver["SSHKeyPath"] = Value::from(format!("{MACHINE}/{}", facts.ssh_key));
        config.set_driver(driver);
    }
    config.replace_paths(STORE, &store.root().to_string_lossy());
    config.move_to(name, (&certs, &paths), MACHINE);
    MachineRecord {
        name: name.clone(),
        config,
        side,
    }
}

/// Returns the record of a machine that its facts are all that is known of.
pub(crate) fn generic(
    store: &Store,
    name: &MachineName,
    facts: &Facts,
    engine: &EngineOptions,
    side: SideRecord,
) -> MachineRecord {
    let (certs, paths) = (store.certs(), store.machine(name));
    let mut config = HostConfig::new(name, GENERIC, engine, &[], (&certs, &paths));
    let key = match facts.ssh_key.as_str() {
        "" => String::new(),
        file => paths.directory.join(file).to_string_lossy().into_owned(),
    };
    let host = if facts.ssh_host.is_empty() {
        &facts.ip
    } else {
        &facts.ssh_host
    };
    let base = BaseConfig {
        ip_address: host.clone(),
        machine_name: name.to_string(),
        ssh_user: facts.ssh_user.clone(),
        ssh_port: facts.ssh_port,
        ssh_key_path: key,
        store_path: store.root().to_string_lossy().into_owned(),
        ..BaseConfig::default()
    };
    let mut driver = serde_json::to_value(base).unwrap_or_else(|_error| json!({}));
    driver["EnginePort"] = Value::from(facts.engine_port);
    driver["SSHKey"] = Value::from("");
    config.set_driver(driver);
    MachineRecord {
        name: name.clone(),
        config,
        side,
    }
}
