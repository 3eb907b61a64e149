//! How Go prints what docker's `inspect` decodes into its own types: a structure is its values in
//! braces, a null is the empty list, the empty map or `<nil>`, by what the field is. Known are the
//! names of fields; what is unknown is a structure or a list.

use serde_json::Value;

use super::text;

/// Fields that are maps.
const MAPS: [&str; 14] = [
    "Annotations",
    "Data",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Properties",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// Fields that point to one value, or to none.
const POINTERS: [&str; 11] = [
    "BindOptions",
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "ImageManifestDescriptor",
    "Init",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "StopTimeout",
    "VolumeOptions",
];

/// Structures with fields that JSON leaves out, and what these print as.
const WHOLE: [(&str, &[(&str, &str)]); 2] = [
    (
        "State",
        &[
            ("Status", ""),
            ("Running", "false"),
            ("Paused", "false"),
            ("Restarting", "false"),
            ("OOMKilled", "false"),
            ("Dead", "false"),
            ("Pid", "0"),
            ("ExitCode", "0"),
            ("Error", ""),
            ("StartedAt", ""),
            ("FinishedAt", ""),
            ("Health", "<nil>"),
        ],
    ),
    (
        "Mounts",
        &[
            ("Type", ""),
            ("Name", ""),
            ("Source", ""),
            ("Destination", ""),
            ("Driver", ""),
            ("Mode", ""),
            ("RW", "false"),
            ("Propagation", ""),
        ],
    ),
];

/// Says whether the field that these names lead to is a map.
pub(super) fn is_map(path: &[String]) -> bool {
    match path {
        [.., parent, name] if name == "Config" => parent == "LogConfig",
        [.., name] => MAPS.contains(&name.as_str()),
        [] => false,
    }
}

/// Says whether the last name is a field that JSON leaves out where Go has `<nil>`.
pub(super) fn is_optional(rest: &[String]) -> bool {
    matches!(rest, [name] if POINTERS.contains(&name.as_str()))
}

/// Prints the field that these names lead to.
pub(super) fn print(value: &Value, path: &[String]) -> String {
    let name = path.last().map_or("", String::as_str);
    match value {
        Value::Null if path.len() > 1 && is_map(&path[..path.len() - 1]) => "<no value>".to_owned(),
        Value::Null if POINTERS.contains(&name) => "<nil>".to_owned(),
        Value::Null if is_map(path) => "map[]".to_owned(),
        Value::Null => "[]".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| print(item, path)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) if is_map(path) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let below = |key: &String| [path, std::slice::from_ref(key)].concat();
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", print(value, &below(key))))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        Value::Object(map) => {
            let below = |key: &str| [path, &[key.to_owned()]].concat();
            let whole = WHOLE.iter().find(|(known, _)| *known == name);
            let values: Vec<String> = match whole {
                Some((_, fields)) => fields
                    .iter()
                    .map(|(field, absent)| match map.get(*field) {
                        Some(value) => print(value, &below(field)),
                        None => (*absent).to_owned(),
                    })
                    .collect(),
                None => map
                    .iter()
                    .map(|(field, value)| print(value, &below(field)))
                    .collect(),
            };
            format!("{{{}}}", values.join(" "))
        }
        other => text::print(other),
    }
}
