//! Version 1 had the machine's folder beside the driver, and another name for the authority's key.

use std::path::Path;

use serde_json::{Map, Value};

use super::{fill, object, set, text};

pub(super) fn apply(document: &mut Map<String, Value>) {
    let machine = document.shift_remove("StorePath");
    let auth = object(object(document, "HostOptions"), "AuthOptions");
    if let Some(key) = auth.shift_remove("PrivateKeyPath") {
        fill(auth, "CaPrivateKeyPath", key);
    }
    // docker-machine wrote the root of the store here, which made it copy the client's
    // certificates to the wrong place; in version 3 it is the machine's folder.
    if let Some(machine) = machine {
        set(auth, "StorePath", machine);
    }
    let beside = Path::new(text(auth, "CaCertPath")).parent();
    let certs = beside.map(|folder| folder.to_string_lossy().into_owned());
    if let Some(certs) = certs.filter(|folder| !folder.is_empty()) {
        fill(auth, "CertDir", Value::String(certs));
    }
}
