//! `Mounts`, and the long form in `HostConfig`.

use serde_json::{Map, Value, json};

use super::add;
use crate::container::record::{MountKind, MountRecord};
use crate::create::mount::DEFAULT_PROPAGATION;
use crate::options::MountOptions;

pub(super) fn mount(mount: &MountRecord) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    match &mount.kind {
        MountKind::Bind => put("Type", json!("bind")),
        MountKind::Tmpfs { .. } => put("Type", json!("tmpfs")),
        MountKind::Volume { name, .. } => {
            put("Type", json!("volume"));
            put("Name", json!(name))
        }
    };
    put("Source", json!(mount.source));
    put("Destination", json!(mount.target));
    if matches!(mount.kind, MountKind::Volume { .. }) {
        put("Driver", json!("local"));
    }
    put("Mode", json!(mount.mode));
    put("RW", json!(!mount.read_only));
    let propagation = match (&mount.kind, mount.propagation.as_str()) {
        (MountKind::Bind, "") => DEFAULT_PROPAGATION,
        (_, propagation) => propagation,
    };
    put("Propagation", json!(propagation));
    Value::Object(object)
}

/// Returns a mount as it was asked for; what was not asked for is not shown.
pub(super) fn long(mount: &MountOptions) -> Value {
    let mut value = json!({ "Type": mount.kind, "Target": mount.target });
    let source = &mount.source;
    add(&mut value, "Source", !source.is_empty(), json!(source));
    add(&mut value, "ReadOnly", mount.read_only, json!(true));
    let consistency = &mount.consistency;
    add(
        &mut value,
        "Consistency",
        !consistency.is_empty(),
        json!(consistency),
    );
    let mut bind = json!({});
    let propagation = &mount.bind_propagation;
    add(
        &mut bind,
        "Propagation",
        !propagation.is_empty(),
        json!(propagation),
    );
    for (key, is_so) in [
        ("NonRecursive", mount.bind_non_recursive),
        ("CreateMountpoint", mount.bind_create_mountpoint),
        ("ReadOnlyNonRecursive", mount.bind_read_only_non_recursive),
        (
            "ReadOnlyForceRecursive",
            mount.bind_read_only_force_recursive,
        ),
    ] {
        add(&mut bind, key, is_so, json!(true));
    }
    let mut volume = json!({});
    add(&mut volume, "NoCopy", mount.volume_no_copy, json!(true));
    let labels = &mount.volume_labels;
    add(&mut volume, "Labels", !labels.is_empty(), json!(labels));
    let subpath = &mount.volume_subpath;
    add(&mut volume, "Subpath", !subpath.is_empty(), json!(subpath));
    let has_driver = !mount.volume_driver.is_empty() || !mount.volume_driver_options.is_empty();
    let mut driver = json!({});
    let (name, options) = (&mount.volume_driver, &mount.volume_driver_options);
    add(&mut driver, "Name", !name.is_empty(), json!(name));
    add(&mut driver, "Options", !options.is_empty(), json!(options));
    add(&mut volume, "DriverConfig", has_driver, driver);
    let mut tmpfs = json!({});
    let size = mount.tmpfs_size_bytes;
    add(&mut tmpfs, "SizeBytes", size != 0, json!(size));
    add(
        &mut tmpfs,
        "Mode",
        mount.tmpfs_mode.is_some(),
        json!(mount.tmpfs_mode),
    );
    for (key, part) in [
        ("BindOptions", bind),
        ("VolumeOptions", volume),
        ("TmpfsOptions", tmpfs),
    ] {
        let is_there = part.as_object().is_some_and(|part| !part.is_empty());
        add(&mut value, key, is_there, part);
    }
    value
}
