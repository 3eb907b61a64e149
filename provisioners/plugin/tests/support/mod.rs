//! A plugin in Python and what is around it: a folder to look for it in, and one in which it records
//! what happens to it.

#![allow(dead_code, reason = "each test uses its part")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use berth_provisioners_api::{
    Driver, DriverError, FlagValue, FlagValues, Journal, JournalError, Machine, MachineContext,
};
use berth_provisioners_plugin::{Deadlines, PluginOptions};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_berth-plugin-helper");
pub(crate) const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");

/// What a plugin printed: whether for people who look for faults, and the line with its machine.
pub(crate) type Said = Arc<Mutex<Vec<(bool, String)>>>;

/// Folders of one test.
pub(crate) struct Bench {
    folder: TempDir,
    pub(crate) said: Said,
}

// === impl Bench ===

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::create_dir_all(folder.path().join("store/machines/m1")).unwrap();
        let script = format!(
            "#!/bin/sh\nPLUGIN_DIR='{}' exec python3 -B '{FIXTURES}/plugin.py'\n",
            folder.path().display()
        );
        let plugin = folder.path().join("bin/docker-machine-driver-pytest");
        fs::write(&plugin, script).unwrap();
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            folder,
            said: Said::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Sets what the plugin does wrong from now on.
    pub(crate) fn misbehave(&self, what: &str) {
        fs::write(self.path().join("misbehave"), what).unwrap();
    }

    /// Returns what the plugin has recorded under a name.
    pub(crate) fn record(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// Returns the process ids of all plugins that were ever started.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let starts = self.record("starts");
        starts.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Returns the methods that a process was asked for, in their order.
    pub(crate) fn calls(&self, pid: u32) -> Vec<String> {
        let calls = self.record("calls");
        let prefix = format!("{pid} ");
        let calls = calls.lines().filter_map(|line| line.strip_prefix(&prefix));
        calls.map(ToOwned::to_owned).collect()
    }

    pub(crate) fn driver(&self) -> Arc<dyn Driver> {
        self.driver_with(|_deadlines| {})
    }

    pub(crate) fn driver_with(&self, change: impl FnOnce(&mut Deadlines)) -> Arc<dyn Driver> {
        let mut deadlines = Deadlines::default();
        change(&mut deadlines);
        let said = Arc::clone(&self.said);
        let options = PluginOptions::default()
            .with_path(self.path().join("bin"))
            .with_keeper(HELPER)
            .with_deadlines(deadlines)
            .with_log(move |line| {
                let text = format!("({}) {}", line.machine, line.text);
                said.lock().unwrap().push((line.debug, text));
            });
        berth_provisioners_plugin::fallback(options)("pytest").unwrap()
    }

    pub(crate) fn context(&self) -> MachineContext {
        MachineContext {
            name: "m1".to_owned(),
            directory: self.path().join("store/machines/m1"),
            store_root: self.path().join("store"),
        }
    }

    /// Returns a machine that is configured and not made.
    pub(crate) fn configured(&self, driver: &dyn Driver) -> Box<dyn Machine> {
        driver.configure(&self.context(), &flags(driver)).unwrap()
    }

    pub(crate) fn instance(&self) -> PathBuf {
        self.path().join("cloud/i-m1")
    }

    /// Waits until no plugin runs that was ever started.
    pub(crate) fn no_process_is_left(&self) {
        for pid in self.pids() {
            wait_until(&format!("process {pid} has ended"), || !is_alive(pid));
        }
    }
}

/// Returns the defaults of a driver's flags.
pub(crate) fn flags(driver: &dyn Driver) -> FlagValues {
    let mut values = FlagValues::defaults(&driver.flags().unwrap());
    values.set("pytest-engine-port", FlagValue::Number(4376));
    values.set("engine-label", FlagValue::List(vec!["a=b".to_owned()]));
    values
}

/// A zombie whose parent has not looked yet is as dead as can be.
pub(crate) fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns an error with its causes.
pub(crate) fn chain(error: &DriverError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Collects what is recorded and said.
#[derive(Debug, Default)]
pub(crate) struct Notebook {
    pub(crate) steps: Mutex<Vec<Value>>,
    pub(crate) lines: Mutex<Vec<String>>,
}

// === impl Notebook ===

impl Notebook {
    pub(crate) fn last(&self) -> Value {
        self.steps
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }
}

impl Journal for Notebook {
    fn step(&self, _step: &str, config: &Value) -> Result<(), JournalError> {
        self.steps.lock().unwrap().push(config.clone());
        Ok(())
    }

    fn say(&self, message: &str) {
        self.lines.lock().unwrap().push(message.to_owned());
    }
}
