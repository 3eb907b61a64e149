//! The driver: a URL in, a machine out.

use berth_provisioners_api::{
    BaseConfig, Driver, DriverError, FlagSpec, FlagValues, Machine, MachineContext,
};
use serde_json::Value;

use crate::machine::{NoneConfig, NoneMachine, authority};

pub(crate) const NAME: &str = "none";

/// The driver for engines that are there already.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoneDriver;

impl Driver for NoneDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        Ok(vec![FlagSpec::text(
            "url",
            "",
            "URL of host when no driver is selected",
        )])
    }

    fn configure(
        &self,
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let url = flags.text("url");
        if url.is_empty() {
            return Err(DriverError::refused(
                "--url option is required when no driver is selected",
            ));
        }
        let Some(address) = authority(url) else {
            return Err(DriverError::Flag {
                flag: "url".to_owned(),
                problem: format!("needs an address such as tcp://192.0.2.7:2376, not {url:?}"),
            });
        };
        Ok(Box::new(NoneMachine::new(NoneConfig {
            base: BaseConfig {
                ip_address: address.to_owned(),
                machine_name: context.name.clone(),
                store_path: context.store_root.to_string_lossy().into_owned(),
                ..BaseConfig::default()
            },
            url: url.to_owned(),
            ..NoneConfig::default()
        })))
    }

    fn load(
        &self,
        context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let config = serde_json::from_value(config).map_err(|source| DriverError::Config {
            machine: context.name.clone(),
            source: source.into(),
        })?;
        Ok(Box::new(NoneMachine::new(config)))
    }
}
