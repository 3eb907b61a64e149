//! The options of an engine, as dockerd's users know them, in the agent's words.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::AgentConfig;
use crate::services::is_assignment;

/// What the engine was asked to be, as it is on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineSettings {
    /// dockerd's options, `name=value` or a bare name.
    pub options: Vec<String>,
    /// The storage driver; empty: the engine's choice.
    pub storage_driver: String,
    /// Variables of its environment, `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Its labels, `name=value`.
    pub labels: Vec<String>,
    /// Registries that may be spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Mirrors of the public registry.
    pub registry_mirrors: Vec<String>,
}

/// An option cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// The agent has no such storage driver.
    #[error("storage driver {0:?} is not one that berthd has (overlay2)")]
    StorageDriver(String),
    /// A value makes no sense.
    #[error("engine option {name}: {value:?} is not {wanted}")]
    Value {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

/// What berthd does anyway, and what is said about it when it is to be switched off.
const ALWAYS: [&str; 8] = [
    "live-restore",
    "iptables",
    "ip-forward",
    "ip-masq",
    "icc",
    "tls",
    "tlsverify",
    "userland-proxy",
];
/// What provisioning decides itself.
const OURS: [&str; 9] = [
    "host",
    "H",
    "hosts",
    "tlscacert",
    "tlscert",
    "tlskey",
    "pidfile",
    "p",
    "config-file",
];
/// Limits that a process can have, by Docker's names.
const LIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

impl EngineSettings {
    /// Puts them into the agent's words; the warnings name what has no effect.
    ///
    /// # Errors
    ///
    /// When a value makes no sense or cannot be met.
    pub fn read(&self) -> Result<(AgentConfig, Vec<String>), OptionError> {
        let mut config = AgentConfig {
            insecure_registries: self.insecure_registries.clone(),
            registry_mirrors: self.registry_mirrors.clone(),
            labels: self.labels.clone(),
            ..AgentConfig::default()
        };
        check_storage(&self.storage_driver)?;
        let mut warnings = Vec::new();
        for option in &self.options {
            let plain = option.trim().trim_start_matches('-');
            let (name, value) = plain
                .split_once(['=', ' '])
                .map_or((plain, None), |(name, value)| (name, Some(value.trim())));
            if let Some(warning) = apply(&mut config, name, value)? {
                warnings.push(format!("engine option {option:?} {warning}"));
            }
        }
        for label in &config.labels {
            if !label.contains('=') {
                return Err(wrong("label", label, "NAME=VALUE"));
            }
        }
        for mirror in &config.registry_mirrors {
            if !mirror.starts_with("http://") && !mirror.starts_with("https://") {
                return Err(wrong(
                    "registry-mirror",
                    mirror,
                    "an address such as https://host",
                ));
            }
        }
        for variable in &self.environment {
            if is_assignment(variable) {
                config.environment.push(variable.clone());
            } else {
                let name = variable.split('=').next().unwrap_or_default();
                warnings.push(format!(
                    "engine variable {name:?} is not NAME=VALUE on one line and has no effect"
                ));
            }
        }
        Ok((config, warnings))
    }
}

/// Applies one option; returns why it has no effect when it has none.
fn apply(
    config: &mut AgentConfig,
    name: &str,
    value: Option<&str>,
) -> Result<Option<&'static str>, OptionError> {
    let text = value.unwrap_or_default();
    let is_on = !matches!(value, Some("false" | "0" | "f" | "F" | "FALSE" | "False"));
    match name {
        "debug" | "D" if is_on => config.log_level = "debug".to_owned(),
        "debug" | "D" => {}
        "log-level" | "l" => config.log_level = log_level(text)?,
        "data-root" | "graph" | "g" => config.data_root = absolute(text)?,
        "bip" => config.subnet = subnet(text)?,
        "bridge" | "b" => config.bridge = bridge(text)?,
        "default-runtime" => text.clone_into(&mut config.default_runtime),
        "default-ulimit" => config.default_ulimits.push(ulimit(text)?),
        "dns" => config.dns.push(address(text)?),
        "default-shm-size" => config.default_shm_size = size(text)?,
        "init" => config.init = is_on,
        "no-new-privileges" => config.no_new_privileges = is_on,
        "label" => config.labels.push(text.to_owned()),
        "insecure-registry" => config.insecure_registries.push(text.to_owned()),
        "registry-mirror" => config.registry_mirrors.push(text.to_owned()),
        "storage-driver" | "s" => check_storage(text)?,
        _ if ALWAYS.contains(&name) && is_on => {}
        _ if ALWAYS.contains(&name) => {
            return Ok(Some("has no effect: berthd always does that"));
        }
        _ if OURS.contains(&name) => {
            return Ok(Some("has no effect: provisioning decides that itself"));
        }
        _ => return Ok(Some("is not known to berthd and has no effect")),
    }
    Ok(None)
}

fn wrong(name: &'static str, value: &str, wanted: &'static str) -> OptionError {
    OptionError::Value {
        name,
        value: value.to_owned(),
        wanted,
    }
}

fn check_storage(name: &str) -> Result<(), OptionError> {
    match name {
        "" | "overlay2" | "overlay" | "overlayfs" => Ok(()),
        other => Err(OptionError::StorageDriver(other.to_owned())),
    }
}

fn log_level(text: &str) -> Result<String, OptionError> {
    let level = match text.to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warn" | "warning" => "warn",
        "error" | "fatal" | "panic" => "error",
        _ => {
            return Err(wrong(
                "log-level",
                text,
                "debug, info, warn, error or fatal",
            ));
        }
    };
    Ok(level.to_owned())
}

fn absolute(text: &str) -> Result<String, OptionError> {
    if text.starts_with('/') && !text.contains(['\n', '\0']) {
        Ok(text.to_owned())
    } else {
        Err(wrong("data-root", text, "an absolute path"))
    }
}

fn subnet(text: &str) -> Result<String, OptionError> {
    let good = text.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<Ipv4Addr>().is_ok()
            && bits
                .parse::<u8>()
                .is_ok_and(|bits| (8..=30).contains(&bits))
    });
    if good {
        Ok(text.to_owned())
    } else {
        Err(wrong(
            "bip",
            text,
            "an address and prefix such as 172.30.0.1/24",
        ))
    }
}

fn bridge(text: &str) -> Result<String, OptionError> {
    let is_name = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    if (1..=15).contains(&text.len()) && text.bytes().all(is_name) && text != "none" {
        Ok(text.to_owned())
    } else {
        Err(wrong(
            "bridge",
            text,
            "the name of a network interface, of at most 15 letters",
        ))
    }
}

fn ulimit(text: &str) -> Result<String, OptionError> {
    let number = |text: &str| text == "-1" || text.parse::<u64>().is_ok();
    let good = text.split_once('=').is_some_and(|(name, values)| {
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        LIMITS.contains(&name) && number(soft) && number(hard)
    });
    if good {
        Ok(text.to_owned())
    } else {
        Err(wrong(
            "default-ulimit",
            text,
            "NAME=SOFT[:HARD], such as nofile=1024:4096",
        ))
    }
}

fn address(text: &str) -> Result<String, OptionError> {
    match text.parse::<IpAddr>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(wrong("dns", text, "an address")),
    }
}

fn size(text: &str) -> Result<u64, OptionError> {
    let lower = text.to_ascii_lowercase();
    let plain = lower.trim_end_matches('b').trim_end_matches('i');
    let (number, unit) = match plain.as_bytes().last() {
        Some(b'k') => (&plain[..plain.len() - 1], 1024),
        Some(b'm') => (&plain[..plain.len() - 1], 1024 * 1024),
        Some(b'g') => (&plain[..plain.len() - 1], 1024 * 1024 * 1024),
        _ => (plain, 1),
    };
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| wrong("default-shm-size", text, "a size such as 64M"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[&str]) -> Result<(AgentConfig, Vec<String>), OptionError> {
        let settings = EngineSettings {
            options: options.iter().map(ToString::to_string).collect(),
            ..EngineSettings::default()
        };
        settings.read()
    }

    #[test]
    fn known_options_of_dockerd_become_the_agents_own() {
        let (config, warnings) = read(&[
            "log-level=warning",
            "data-root=/srv/berth",
            "bip=172.30.0.1/24",
            "default-ulimit=nofile=1024:4096",
            "dns=10.0.0.53",
            "default-shm-size=128m",
            "label=tier=web",
            "registry-mirror=http://m:5000",
            "insecure-registry reg:5000",
            "init",
            "live-restore",
            "storage-driver=overlay2",
        ])
        .unwrap();
        assert_eq!(warnings, [""; 0]);
        let text = config.to_json();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["log_level"], "warn");
        assert_eq!(json["data_root"], "/srv/berth");
        assert_eq!(json["subnet"], "172.30.0.1/24");
        assert_eq!(json["default_ulimits"][0], "nofile=1024:4096");
        assert_eq!(json["dns"][0], "10.0.0.53");
        assert_eq!(json["default_shm_size"], 128 << 20);
        assert_eq!(json["labels"][0], "tier=web");
        assert_eq!(json["registry_mirrors"][0], "http://m:5000");
        assert_eq!(json["insecure_registries"][0], "reg:5000");
        assert_eq!(json["init"], true);
    }

    #[test]
    fn options_without_effect_are_named() {
        let (_, warnings) = read(&[
            "mtu=1400",
            "log-driver=journald",
            "host=tcp://x",
            "iptables=false",
        ])
        .unwrap();
        assert_eq!(
            warnings,
            [
                "engine option \"mtu=1400\" is not known to berthd and has no effect",
                "engine option \"log-driver=journald\" is not known to berthd and has no effect",
                "engine option \"host=tcp://x\" has no effect: provisioning decides that itself",
                "engine option \"iptables=false\" has no effect: berthd always does that",
            ]
        );
    }

    #[test]
    fn values_without_sense_are_refused() {
        for (option, said) in [
            ("log-level=loud", "log-level: \"loud\" is not debug"),
            ("bip=300.0.0.1/24", "bip"),
            ("data-root=relative", "absolute path"),
            ("default-ulimit=nofiles=1", "nofile=1024:4096"),
            (
                "storage-driver=btrfs",
                "storage driver \"btrfs\" is not one that berthd has",
            ),
            ("label=x", "label: \"x\" is not NAME=VALUE"),
            ("registry-mirror=m", "https://host"),
        ] {
            let error = read(&[option]).unwrap_err().to_string();
            assert!(error.contains(said), "{option}: {error}");
        }
        let settings = EngineSettings {
            storage_driver: "aufs".to_owned(),
            ..EngineSettings::default()
        };
        settings.read().unwrap_err();
    }

    #[test]
    fn variables_keep_their_spaces_and_quotes() {
        let good = "HTTP_PROXY=http://u:p w@\"x\"'y':3128";
        let settings = EngineSettings {
            environment: vec![good.to_owned(), "SECRET\nX=1".to_owned()],
            ..EngineSettings::default()
        };
        let (config, warnings) = settings.read().unwrap();
        assert_eq!(config.environment, [good]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}
