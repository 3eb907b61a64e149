//! Version 2 did not tell the driver where the store is.

use serde_json::{Map, Value};

use super::{fill, object, set, text};
use crate::relocate;

pub(super) fn apply(document: &mut Map<String, Value>) {
    let name = text(object(document, "Driver"), "MachineName").to_owned();
    fill(document, "Name", Value::String(name));
    let root = relocate::root_on_record(document);
    let driver = object(document, "Driver");
    if let Some(root) = root {
        fill(driver, "StorePath", Value::String(root));
    }
    in_order(document);
}

/// Puts the keys of version 3 first, in the order in which they are written.
fn in_order(document: &mut Map<String, Value>) {
    let mut ordered = Map::new();
    for key in [
        "ConfigVersion",
        "Driver",
        "DriverName",
        "HostOptions",
        "Name",
    ] {
        if let Some(value) = document.shift_remove(key) {
            set(&mut ordered, key, value);
        }
    }
    ordered.append(document);
    *document = ordered;
}
