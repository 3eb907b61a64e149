//! A driver for tests whose machines are files in a directory, and which can fail, hang or lose
//! things at any step.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use berth_provisioners_api::{
    Driver, DriverError, FlagSpec, FlagValues, Journal, Machine, MachineContext, MachineState,
    SshEndpoint,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What a cloud's machines are made of, in the order in which they are made.
pub(crate) const PARTS: [&str; 3] = ["disk", "address", "instance"];

/// Where machines are made, and what shall go wrong there.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: tempfile::TempDir,
    wishes: Mutex<Wishes>,
    /// Told when a call hangs as it was wished.
    hanging: Notify,
}

/// What shall go wrong.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// The part after whose making `create` fails.
    pub(crate) fail_after: Option<&'static str>,
    /// The part after whose making `create` never returns.
    pub(crate) hang_after: Option<&'static str>,
    /// Whether the check before refuses.
    pub(crate) refuse: bool,
    /// Machines whose state is never told.
    pub(crate) silent: BTreeSet<String>,
    /// Where SSH servers listen.
    pub(crate) ssh: Option<(u16, PathBuf)>,
    /// The agent's port.
    pub(crate) engine_port: u16,
}

#[derive(Debug)]
struct CloudMachine {
    cloud: Cloud,
    name: String,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let inner = Inner {
            directory,
            wishes: Mutex::default(),
            hanging: Notify::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.inner.wishes.lock().unwrap());
    }

    pub(crate) async fn until_it_hangs(&self) {
        self.inner.hanging.notified().await;
    }

    /// Returns everything that exists.
    pub(crate) fn parts(&self) -> Vec<String> {
        let entries = fs::read_dir(self.inner.directory.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn part(&self, machine: &str, part: &str) -> PathBuf {
        self.inner
            .directory
            .path()
            .join(format!("{machine}.{part}"))
    }
}

impl Driver for Cloud {
    fn name(&self) -> &str {
        "cloud"
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        Ok(vec![FlagSpec::text("cloud-size", "small", "Size")])
    }

    fn configure(
        &self,
        context: &MachineContext,
        _flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        Ok(Box::new(CloudMachine {
            cloud: self.clone(),
            name: context.name.clone(),
        }))
    }

    fn load(
        &self,
        context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        assert_eq!(config["MachineName"], context.name.as_str());
        Ok(Box::new(CloudMachine {
            cloud: self.clone(),
            name: context.name.clone(),
        }))
    }
}

#[async_trait]
impl Machine for CloudMachine {
    fn config(&self) -> Value {
        json!({"IPAddress": "127.0.0.1", "MachineName": self.name})
    }

    async fn pre_create_check(&self) -> Result<(), DriverError> {
        if self.cloud.inner.wishes.lock().unwrap().refuse {
            return Err(DriverError::refused("no quota"));
        }
        Ok(())
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        for part in PARTS {
            journal.step(part, &self.config())?;
            fs::write(self.cloud.part(&self.name, part), "").unwrap();
            let (fails, hangs) = {
                let wishes = self.cloud.inner.wishes.lock().unwrap();
                (
                    wishes.fail_after == Some(part),
                    wishes.hang_after == Some(part),
                )
            };
            if fails {
                return Err(DriverError::refused(format!("{part} broke")).with_hint("try again"));
            }
            if hangs {
                self.cloud.inner.hanging.notify_one();
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        let silent = self
            .cloud
            .inner
            .wishes
            .lock()
            .unwrap()
            .silent
            .contains(&self.name);
        if silent {
            std::future::pending::<()>().await;
        }
        Ok(if self.cloud.part(&self.name, "instance").exists() {
            MachineState::Running
        } else {
            MachineState::NotFound
        })
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        for part in PARTS {
            let _ = fs::remove_file(self.cloud.part(&self.name, part));
        }
        Ok(())
    }

    async fn ip(&self) -> Result<String, DriverError> {
        Ok("127.0.0.1".to_owned())
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        let wishes = self.cloud.inner.wishes.lock().unwrap();
        let (port, key) = wishes
            .ssh
            .clone()
            .ok_or_else(|| DriverError::refused("no ssh"))?;
        Ok(SshEndpoint {
            host: "127.0.0.1".to_owned(),
            port,
            user: "root".to_owned(),
            key: Some(key),
            host_key: None,
        })
    }

    fn engine_port(&self) -> u16 {
        self.cloud.inner.wishes.lock().unwrap().engine_port
    }
}
