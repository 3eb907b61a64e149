//! A machine's configuration: what the store keeps of it.

use berth_provisioners_api::{
    BaseConfig, DEFAULT_SSH_PORT, DriverError, FlagSpec, FlagValues, MachineContext,
};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::identity::Identity;
use crate::subnet::Subnet;

/// What `config.json` holds for a sandbox machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SandboxConfig {
    /// The keys that all drivers share.
    #[serde(flatten)]
    pub(crate) base: BaseConfig,
    /// The identity on this host.
    pub(crate) id: Identity,
    /// The network that the machine is on.
    pub(crate) subnet: Subnet,
    /// The root filesystem that the machine sees a copy of; this host's when absent.
    #[serde(default)]
    pub(crate) rootfs: Option<PathBuf>,
    /// The program of the root filesystem that is process 1; berth's own one when absent.
    #[serde(default)]
    pub(crate) init: Option<PathBuf>,
    /// The most memory that it may use, in bytes.
    #[serde(default)]
    pub(crate) memory: Option<u64>,
    /// The most processors that it may use, in thousandths.
    #[serde(default)]
    pub(crate) millicpus: Option<u64>,
    /// Keys of other versions, kept.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

const SUBNET: &str = "sandbox-subnet";
const ROOTFS: &str = "sandbox-rootfs";
const INIT: &str = "sandbox-init";
const MEMORY: &str = "sandbox-memory";
const CPUS: &str = "sandbox-cpus";

/// Returns the flags of `create`.
pub(crate) fn flags() -> Vec<FlagSpec> {
    vec![
        FlagSpec::text(
            SUBNET,
            &Subnet::DEFAULT.to_string(),
            "Private network of the machines on this host",
        )
        .with_env("SANDBOX_SUBNET"),
        FlagSpec::text(
            ROOTFS,
            "",
            "Directory with the root filesystem to copy on write; this host's when empty",
        )
        .with_env("SANDBOX_ROOTFS"),
        FlagSpec::text(
            INIT,
            "",
            "Program of the root filesystem that runs the machine, such as /sbin/init; berth's own \
             when empty",
        )
        .with_env("SANDBOX_INIT"),
        FlagSpec::text(
            MEMORY,
            "",
            "Most memory that the machine may use, such as 512m or 2g; no limit when empty",
        )
        .with_env("SANDBOX_MEMORY"),
        FlagSpec::text(
            CPUS,
            "",
            "Most processors that the machine may use, such as 1.5; no limit when empty",
        )
        .with_env("SANDBOX_CPUS"),
    ]
}

impl SandboxConfig {
    /// Returns a configuration with which all that is left of a machine can be removed.
    pub(crate) fn of_orphan(
        directory: &Path,
        id: Identity,
        place: Option<(Subnet, Ipv4Addr)>,
    ) -> Self {
        let text = |path: Option<&Path>| path.unwrap_or(directory).display().to_string();
        let name = directory.file_name().unwrap_or_default();
        let base = BaseConfig {
            machine_name: name.to_string_lossy().into_owned(),
            ip_address: place.map_or_else(String::new, |(_subnet, address)| address.to_string()),
            store_path: text(directory.ancestors().nth(2)),
            ..BaseConfig::default()
        };
        Self {
            base,
            id,
            subnet: place.map_or(Subnet::DEFAULT, |(subnet, _address)| subnet),
            rootfs: None,
            init: None,
            memory: None,
            millicpus: None,
            other: Map::new(),
        }
    }

    /// Returns the configuration that the flags ask for.
    pub(crate) fn from_flags(
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Self, DriverError> {
        let subnet = flags
            .text(SUBNET)
            .parse()
            .map_err(|error: crate::subnet::SubnetError| wrong(SUBNET, error.to_string()))?;
        let base = BaseConfig {
            machine_name: context.name.clone(),
            ssh_user: "root".to_owned(),
            ssh_port: DEFAULT_SSH_PORT,
            ssh_key_path: context.directory.join("id_ed25519").display().to_string(),
            store_path: context.store_root.display().to_string(),
            ..BaseConfig::default()
        };
        Ok(Self {
            base,
            id: Identity::of_directory(&context.directory),
            subnet,
            rootfs: absolute(ROOTFS, flags.text(ROOTFS))?,
            init: absolute(INIT, flags.text(INIT))?,
            memory: optional(MEMORY, flags.text(MEMORY), "a size such as 512m", bytes)?,
            millicpus: optional(CPUS, flags.text(CPUS), "a number such as 1.5", millicpus)?,
            other: Map::new(),
        })
    }
}

fn wrong(flag: &str, problem: String) -> DriverError {
    DriverError::Flag {
        flag: flag.to_owned(),
        problem,
    }
}

fn absolute(flag: &str, text: &str) -> Result<Option<PathBuf>, DriverError> {
    if text.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(Some(path))
    } else {
        Err(wrong(flag, format!("needs an absolute path, not {text:?}")))
    }
}

fn optional(
    flag: &str,
    text: &str,
    form: &str,
    parse: impl Fn(&str) -> Option<u64>,
) -> Result<Option<u64>, DriverError> {
    if text.is_empty() {
        return Ok(None);
    }
    match parse(text) {
        Some(value) => Ok(Some(value)),
        None => Err(wrong(flag, format!("needs {form}, not {text:?}"))),
    }
}

/// Returns the number of bytes that a size such as `512m` means.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (number, factor) = match lower.chars().last()? {
        'k' => (&lower[..lower.len() - 1], 1 << 10),
        'm' => (&lower[..lower.len() - 1], 1 << 20),
        'g' => (&lower[..lower.len() - 1], 1 << 30),
        't' => (&lower[..lower.len() - 1], 1 << 40),
        _ => (lower, 1),
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// Returns the thousandths of a processor that a number such as `1.5` means.
fn millicpus(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    // The kernel's smallest quota is a hundredth of its period.
    whole
        .checked_mul(1000)?
        .checked_add(fraction)
        .filter(|value| *value >= 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> MachineContext {
        MachineContext {
            name: "demo".to_owned(),
            directory: "/store/machines/demo".into(),
            store_root: "/store".into(),
        }
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(bytes("512m"), Some(512 << 20));
        assert_eq!(bytes("2G"), Some(2 << 30));
        assert_eq!(bytes("64kb"), Some(64 << 10));
        assert_eq!(bytes("4096"), Some(4096));
        for bad in ["", "m", "-1", "0", "1x", "99999999999t"] {
            assert_eq!(bytes(bad), None, "{bad} was taken");
        }
    }

    #[test]
    fn processors_have_fractions() {
        assert_eq!(millicpus("2"), Some(2000));
        assert_eq!(millicpus("1.5"), Some(1500));
        assert_eq!(millicpus(".25"), Some(250));
        for bad in ["0", "x", "1.2345", "-1", "1e3", "0.001"] {
            assert_eq!(millicpus(bad), None, "{bad} was taken");
        }
    }

    #[test]
    fn a_configuration_comes_back_as_it_was_with_the_keys_of_other_versions() {
        let flags = FlagValues::defaults(&flags());
        let config = SandboxConfig::from_flags(&context(), &flags).unwrap();
        let mut value = serde_json::to_value(&config).unwrap();
        assert_eq!(
            value.as_object().unwrap().keys().next().unwrap(),
            "IPAddress"
        );
        value["Later"] = Value::from(7);
        let again: SandboxConfig = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), value);
    }

    #[test]
    fn a_flag_with_nonsense_is_named() {
        for (flag, text) in [
            (SUBNET, "x"),
            (ROOTFS, "relative"),
            (INIT, "systemd"),
            (MEMORY, "x"),
            (CPUS, "x"),
        ] {
            let mut values = FlagValues::defaults(&flags());
            values.set(
                flag,
                berth_provisioners_api::FlagValue::Text(text.to_owned()),
            );
            let error = SandboxConfig::from_flags(&context(), &values).unwrap_err();
            assert!(error.to_string().contains(flag), "{error}");
        }
    }
}
