//! What the operator is told of a bundle: everything in it that opens more than the machine, or goes
//! on doing so.

use std::path::Path;
use std::time::Duration;

use berth_controller_store::{Engine, MachineRecord};
use serde_json::Value;

use super::bundle::Facts;
use crate::Progress;

/// Parts of the names under which drivers keep what should be nobody else's.
const SECRET_WORDS: [&str; 8] = [
    "token",
    "secret",
    "passw",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authkey",
];

/// Tells where the driver's secrets are, and which of them travel.
pub(super) fn secrets(record: &MachineRecord, progress: &dyn Progress) {
    let name = record.name.as_str();
    for (flag, reference) in &record.side.secrets {
        let text = format!(
            "the secret of --{flag} stays where it is ({reference}); whoever imports the machine \
             needs their own to start, stop or remove it"
        );
        progress.notice(name, &text);
    }
    let known: Vec<&str> = record.side.secrets.values().map(String::as_str).collect();
    let mut found = Vec::new();
    in_clear(record.config.driver(), "", &known, &mut found);
    if !found.is_empty() {
        let text = format!(
            "the driver's {} travels in clear text: whoever opens the file can use it for \
             everything that it is good for",
            found.join(", ")
        );
        progress.notice(name, &text);
    }
}

/// Tells which private key of SSH travels.
pub(super) fn ssh_key(
    record: &MachineRecord,
    facts: &Facts,
    folder: &Path,
    progress: &dyn Progress,
) {
    if facts.ssh_key.is_empty() {
        return;
    }
    let driver = record.config.driver();
    let text = |key: &str| driver[key].as_str().unwrap_or_default();
    // Where the driver has copied it from, or where it still lies.
    let origin = [text("SSHKey"), text("SSHKeyPath")]
        .into_iter()
        .find(|path| !path.is_empty() && !Path::new(path).starts_with(folder));
    if let Some(origin) = origin {
        let text = format!(
            "the private key {origin} travels: whoever opens the file can log in with it wherever \
             you can"
        );
        progress.notice(record.name.as_str(), &text);
    }
}

/// Tells what the client certificate in a bundle is good for.
pub(super) fn client(
    record: &MachineRecord,
    client: &str,
    life: Duration,
    progress: &dyn Progress,
) {
    let days = life.as_secs() / 86_400;
    let docker = if record.side.engine == Engine::Docker {
        "; this machine's Docker knows nothing of that and takes it to its end"
    } else {
        ""
    };
    let text = format!(
        "client certificate {client} travels: it opens all machines of your authority for {days} \
         days or until berth machine revoke-client {client}{docker}"
    );
    progress.notice(record.name.as_str(), &text);
}

/// Tells that only somebody else can take the client certificate back.
pub(super) fn foreign(record: &MachineRecord, progress: &dyn Progress) {
    let text = "the client certificate that you were given for this machine travels: only whoever \
                gave it to you can revoke it, for you and for others at once";
    progress.notice(record.name.as_str(), text);
}

/// Finds values that look like secrets and are not references to some.
fn in_clear(config: &Value, key: &str, known: &[&str], found: &mut Vec<String>) {
    match config {
        Value::Object(keys) => {
            for (key, value) in keys {
                in_clear(value, key, known, found);
            }
        }
        Value::Array(list) => {
            for value in list {
                in_clear(value, key, known, found);
            }
        }
        Value::String(text) => {
            let is_open = !text.is_empty() && !known.iter().any(|known| text.contains(known));
            if is_open && is_secret(key) && !found.iter().any(|other| other == key) {
                found.push(key.to_owned());
            }
        }
        _ => {}
    }
}

fn is_secret(key: &str) -> bool {
    let plain: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    SECRET_WORDS.iter().any(|word| plain.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_in_clear_text_are_found_and_references_are_not() {
        let config = json!({
            "AccessToken": "t", "API_Key": "k", "SSHKeyPath": "/x", "SSHKey": "/y", "Region": "fra1",
            "SecretKey": "env:KEY", "Password": "", "Auth": {"Passwd": "p"}, "Size": 1,
            "Before": {"AccessToken": "t"},
        });
        let mut found = Vec::new();
        in_clear(&config, "", &["env:KEY"], &mut found);
        assert_eq!(found, ["AccessToken", "API_Key", "Passwd"]);
    }
}
