//! What people have set for all their commands in Docker's `config.json`: how lists are shown and
//! which keys detach.

use serde_json::Value;

use crate::registry_auth::ConfigFile;
use crate::ui;

/// The keys that detach: the flag's, else the file's; empty for the engine's own.
pub(crate) fn detach_keys(flag: Option<&str>) -> String {
    flag.map(ToOwned::to_owned)
        .or_else(|| text("detachKeys"))
        .unwrap_or_default()
}

/// The format of a list: the flag's, else what the file has under `key` ("psFormat"). With `quiet`
/// only ids are shown and the file does not count.
pub(crate) fn format(flag: Option<&str>, key: &str, quiet: bool) -> String {
    let flag = flag.filter(|format| !format.is_empty());
    match flag {
        Some(format) => format.to_owned(),
        None if quiet => String::new(),
        None => text(key).unwrap_or_default(),
    }
}

/// A text of the file. A file that cannot be read is told about and counts as empty.
fn text(key: &str) -> Option<String> {
    match ConfigFile::load() {
        Ok(file) => file
            .setting(key)
            .and_then(Value::as_str)
            .map(ToOwned::to_owned),
        Err(failure) => {
            let why = failure.message().unwrap_or_default();
            ui::warn(&format!("Error loading config file: {why}"));
            None
        }
    }
}
