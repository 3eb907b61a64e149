//! The driver: flags in, machines out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use berth_provisioners_api::{
    BaseConfig, DEFAULT_ENGINE_PORT, DEFAULT_SSH_PORT, Driver, DriverError, FlagSpec, FlagValues,
    Machine, MachineContext,
};
use serde_json::Value;

use crate::machine::{GenericConfig, GenericMachine};

pub(crate) const NAME: &str = "generic";

/// Finds out whether a host's SSH port answers, by whatever way leads there.
pub type Dial =
    Arc<dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> + Send + Sync>;

/// The driver for hosts that exist.
#[derive(Clone, Copy, Debug, Default)]
pub struct GenericDriver;

/// The same for whoever knows more ways to a host than the straight one, such as jump hosts.
#[derive(Clone)]
pub struct DiallingDriver {
    dial: Dial,
}

impl GenericDriver {
    /// Returns the driver with another way of finding out whether a host answers.
    #[must_use]
    pub fn dialling(self, dial: Dial) -> DiallingDriver {
        DiallingDriver { dial }
    }
}

impl fmt::Debug for DiallingDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DiallingDriver")
            .finish_non_exhaustive()
    }
}

impl Driver for DiallingDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        GenericDriver.flags()
    }

    fn configure(
        &self,
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let config = configured(context, flags)?;
        let dial = Some(Arc::clone(&self.dial));
        Ok(Box::new(GenericMachine::new(config, dial)))
    }

    fn load(
        &self,
        context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let dial = Some(Arc::clone(&self.dial));
        Ok(Box::new(GenericMachine::new(read(context, config)?, dial)))
    }
}

impl Driver for GenericDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        let number = i64::from;
        Ok(vec![
            FlagSpec::number(
                "generic-engine-port",
                number(DEFAULT_ENGINE_PORT),
                "Docker engine port",
            )
            .with_env("GENERIC_ENGINE_PORT"),
            FlagSpec::text("generic-ip-address", "", "IP Address of machine")
                .with_env("GENERIC_IP_ADDRESS"),
            FlagSpec::text(
                "generic-ssh-key",
                "",
                "SSH private key path (if not provided, default SSH key will be used)",
            )
            .with_env("GENERIC_SSH_KEY"),
            FlagSpec::number("generic-ssh-port", number(DEFAULT_SSH_PORT), "SSH port")
                .with_env("GENERIC_SSH_PORT"),
            FlagSpec::text("generic-ssh-user", "root", "SSH user").with_env("GENERIC_SSH_USER"),
        ])
    }

    fn configure(
        &self,
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let config = configured(context, flags)?;
        Ok(Box::new(GenericMachine::new(config, None)))
    }

    fn load(
        &self,
        context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        Ok(Box::new(GenericMachine::new(read(context, config)?, None)))
    }
}

/// Reads what `create` was told.
fn configured(context: &MachineContext, flags: &FlagValues) -> Result<GenericConfig, DriverError> {
    let needs = |flag: &str, problem: &str| DriverError::Flag {
        flag: flag.to_owned(),
        problem: problem.to_owned(),
    };
    // People copy addresses of IP version 6 with their brackets.
    let address = flags.text("generic-ip-address").trim();
    let address = address
        .strip_prefix('[')
        .and_then(|a| a.strip_suffix(']'))
        .unwrap_or(address);
    if address.is_empty() {
        return Err(needs("generic-ip-address", "needs the address of the host"));
    }
    let user = flags.text("generic-ssh-user");
    if user.is_empty() {
        return Err(needs("generic-ssh-user", "needs a user"));
    }
    let key = flags.text("generic-ssh-key");
    let source = if key.is_empty() {
        None
    } else {
        Some(absolute(key))
    };
    let ssh_key_path = match &source {
        Some(source) => copy_of(&context.directory, source)
            .ok_or_else(|| needs("generic-ssh-key", "needs the path of a file"))?
            .to_string_lossy()
            .into_owned(),
        None => String::new(),
    };
    Ok(GenericConfig {
        base: BaseConfig {
            ip_address: address.to_owned(),
            machine_name: context.name.clone(),
            ssh_user: user.to_owned(),
            ssh_port: flags.port("generic-ssh-port")?,
            ssh_key_path,
            store_path: context.store_root.to_string_lossy().into_owned(),
            ..BaseConfig::default()
        },
        engine_port: flags.port("generic-engine-port")?,
        ssh_key: source.unwrap_or_default().to_string_lossy().into_owned(),
        ..GenericConfig::default()
    })
}

/// Reads what is on record.
fn read(context: &MachineContext, config: Value) -> Result<GenericConfig, DriverError> {
    serde_json::from_value(config).map_err(|source| DriverError::Config {
        machine: context.name.clone(),
        source: source.into(),
    })
}

/// Returns where the machine keeps its copy of a key: under the key's own file name, as
/// docker-machine does it.
fn copy_of(directory: &Path, key: &Path) -> Option<PathBuf> {
    Some(directory.join(key.file_name()?))
}

fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}
