//! Removing machines, complete or not.

use berth_controller_store::{self as store, MachineRecord};
use berth_provisioners_api::{DriverError, numbers};
use serde_json::Value;

use crate::fleet::Loaded;
use crate::list::chain;
use crate::{Fleet, MachineError, Progress};

/// A machine could not be removed; what is left is still on record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] store::LockError),
    /// The driver failed.
    #[error("machine {machine:?} could not be removed from driver {driver}")]
    Driver {
        /// The machine.
        machine: String,
        /// The driver.
        driver: String,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] store::WriteError),
    /// The machine's directory cannot be removed.
    #[error(transparent)]
    Directory(#[from] store::RemoveError),
}

impl RemoveError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Locked(store::LockError::Busy { .. }) => {
                Some("wait until it has ended, or end it; then remove the machine".to_owned())
            }
            Self::Driver { source, .. } => source.hint().map(ToOwned::to_owned),
            _ => None,
        }
    }
}

impl Fleet {
    /// Removes a machine and its record.
    ///
    /// With `force`, the record is removed even when the driver fails or the record cannot be
    /// read, and a machine that does not exist is no error; what may be left is then said as a
    /// notice.
    ///
    /// # Errors
    ///
    /// When there is no such machine, or something that exists cannot be removed.
    pub async fn remove(
        &self,
        name: &str,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<(), RemoveError> {
        let Some(checked) = name.parse().ok().filter(|name| self.store.exists(name)) else {
            let absent = MachineError::Absent(name.to_owned());
            return if force { Ok(()) } else { Err(absent.into()) };
        };
        let mut lock = self.store.lock_machine(&checked)?;
        match self.load(name) {
            Ok(loaded) => self.remove_from_driver(loaded, force, progress).await?,
            // Cut off before anything was made: there is only the directory.
            Err(MachineError::Incomplete(_)) => {}
            Err(error) if force => {
                let look = match self.record(name) {
                    Ok(record) => self.where_to_look(&record),
                    Err(_unreadable) => "nobody knows what else there is".to_owned(),
                };
                let text = format!("only the record is removed ({}); {look}", chain(&error));
                progress.notice(name, &text);
            }
            Err(error) => return Err(error.into()),
        }
        self.store.remove(&checked)?;
        lock.retire();
        Ok(())
    }

    async fn remove_from_driver(
        &self,
        Loaded {
            mut record,
            mut machine,
        }: Loaded,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<(), RemoveError> {
        if let Err(source) = machine.prepare().await
            && !force
        {
            return Err(RemoveError::Driver {
                machine: record.name.to_string(),
                driver: record.config.driver_name().to_owned(),
                source,
            });
        }
        record.side.progress = store::Progress::Removing;
        self.store.save_side(&record)?;
        let removed = machine.remove().await;
        let Err(source) = removed else { return Ok(()) };
        record.config.set_driver(machine.config());
        self.store.save(&record)?;
        if force {
            let text = format!(
                "something may be left ({}); {}",
                chain(&source),
                self.where_to_look(&record)
            );
            progress.notice(record.name.as_str(), &text);
            return Ok(());
        }
        Err(RemoveError::Driver {
            machine: record.name.to_string(),
            driver: record.config.driver_name().to_owned(),
            source,
        })
    }
    /// Says where to look for what is left of a machine whose record goes.
    fn where_to_look(&self, record: &MachineRecord) -> String {
        let driver = record.config.driver_name();
        let found = self.drivers.get(driver);
        if found.is_some_and(|driver| driver.finds_orphans()) {
            return "berth machine orphans finds what is left".to_owned();
        }
        let mut known = identifiers(record.config.driver());
        if known.is_empty() {
            known.push(format!("the name {}", record.name));
        }
        format!(
            "look for it where driver {driver} makes its machines, by {}",
            known.join(", ")
        )
    }
}

/// Returns what a driver's configuration has of names that its provider gave: `InstanceId i-1`.
fn identifiers(config: &Value) -> Vec<String> {
    let keys = config.as_object().into_iter().flatten();
    keys.filter(|(key, _value)| is_identifier(key))
        .filter_map(|(key, value)| Some(format!("{key} {}", shown(value)?)))
        .collect()
}

fn is_identifier(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let secret = ["access", "secret", "token", "password"];
    let ends = ["Id", "ID", "Ids", "IDs", "IPAddress"];
    ends.iter().any(|end| key.ends_with(end)) && !secret.iter().any(|word| lower.contains(word))
}

/// Returns a value in one word, if it says anything.
fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::Array(list) => {
            let texts: Vec<String> = list.iter().filter_map(shown).collect();
            texts.join("+")
        }
        Value::String(_) | Value::Number(_) => {
            let written = numbers::restore(value.to_string().into_bytes());
            String::from_utf8_lossy(&written)
                .trim_matches('"')
                .to_owned()
        }
        _ => return None,
    };
    (!text.is_empty() && text != "0").then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_provider_calls_it_is_told() {
        let large = "123456789012345678901234567890";
        let text = format!(
            r#"{{"InstanceId": "i-1", "DropletID": 7, "VolumeId": "", "SpotID": 0, "Zone": "a",
                "AccessKeyId": "hidden", "SecurityGroupIds": ["sg-1", "sg-2"], "LargeId": {large},
                "IPAddress": "192.0.2.7", "Valid": true}}"#
        );
        let config: Value = serde_json::from_str(&numbers::keep(&text)).unwrap();
        assert_eq!(
            identifiers(&config),
            [
                "InstanceId i-1",
                "DropletID 7",
                "SecurityGroupIds sg-1+sg-2",
                &format!("LargeId {large}"),
                "IPAddress 192.0.2.7"
            ]
        );
        assert!(identifiers(&json!({"MachineName": "m1"})).is_empty());
    }
}
