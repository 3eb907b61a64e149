//! The `main` of a program that uses and serves plugins, for tests, whose own `main` is the test
//! harness's. Called as `docker-machine-driver-files`, it serves a driver whose machines are files;
//! with `use FOLDER` or `hold FOLDER` it asks the plugin `pytest` in that folder for its flags, and
//! ends as it should or is killed meanwhile.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use berth_provisioners_api::{
    BaseConfig, Driver, DriverError, FlagSpec, FlagValue, FlagValues, Journal, Machine,
    MachineContext, MachineState, Registry, Restart, SshEndpoint,
};
use berth_provisioners_plugin::PluginOptions;
use serde_json::{Value, json};

fn main() -> ExitCode {
    if let Some(code) = berth_provisioners_plugin::run_if_internal(std::env::args_os()) {
        return code;
    }
    let mut words = std::env::args_os().skip(1);
    if let (Some(_use), Some(folder)) = (words.next(), words.next()) {
        return ask(folder);
    }
    let drivers = Registry::new().with(Files);
    let reboot: berth_provisioners_plugin::Reboot = Arc::new(|endpoint: SshEndpoint| {
        Box::pin(async move { Err(format!("{} cannot be rebooted", endpoint.host)) })
    });
    let program = std::env::args_os().next();
    berth_provisioners_plugin::serve_if_called(program.as_ref(), &drivers, reboot)
        .unwrap_or(ExitCode::FAILURE)
}

/// Asks a plugin for its flags.
fn ask(folder: OsString) -> ExitCode {
    let options = PluginOptions::default().with_path(folder);
    let options = options.with_keeper("/proc/self/exe");
    let drivers = Registry::new().with_fallback(berth_provisioners_plugin::fallback(options));
    let asked = drivers.get("pytest").map(|driver| driver.flags());
    berth_provisioners_plugin::finish();
    match asked {
        Some(Ok(_flags)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Machines that are files with their state in them.
#[derive(Debug)]
struct Files;

#[derive(Debug)]
struct FileMachine {
    config: Value,
    file: PathBuf,
}

// === impl Files ===

impl Files {
    fn machine(context: &MachineContext, config: Value) -> Box<dyn Machine> {
        let file = context.directory.join("state");
        Box::new(FileMachine { config, file })
    }
}

#[async_trait]
impl Driver for Files {
    fn name(&self) -> &str {
        "files"
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        let mut tags = FlagSpec::list("files-tag", "Tags");
        tags.default = FlagValue::List(vec!["usual".to_owned()]);
        Ok(vec![
            FlagSpec::text("files-user", "root", "User").with_env("FILES_USER"),
            FlagSpec::number("files-port", 22, "Port"),
            FlagSpec::text("files-note", "", "Note"),
            FlagSpec::switch("files-panic", "Panic in the middle of a creation"),
            tags,
        ])
    }

    fn configure(
        &self,
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        if flags.text("files-user").is_empty() {
            return Err(DriverError::Flag {
                flag: "files-user".to_owned(),
                problem: "needs a user".to_owned(),
            });
        }
        let base = BaseConfig {
            machine_name: context.name.clone(),
            store_path: context.store_root.to_string_lossy().into_owned(),
            ssh_user: flags.text("files-user").to_owned(),
            ssh_port: flags.port("files-port")?,
            ..BaseConfig::default()
        };
        let mut config = serde_json::to_value(base).unwrap_or_default();
        config["Tags"] = json!(flags.list("files-tag"));
        config["Panic"] = json!(flags.switch("files-panic"));
        config["SwarmHost"] = json!(flags.text("swarm-host"));
        Ok(Self::machine(context, config))
    }

    fn load(
        &self,
        context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        Ok(Self::machine(context, config))
    }
}

// === impl FileMachine ===

impl FileMachine {
    fn set(&self, state: &str) -> Result<(), DriverError> {
        fs::write(&self.file, state)
            .map_err(|error| DriverError::failed("cannot write the machine's file", error))
    }
}

#[async_trait]
impl Machine for FileMachine {
    fn config(&self) -> Value {
        self.config.clone()
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        journal.say("Writing the machine's file");
        self.config["Made"] = json!(true);
        journal.step("file", &self.config)?;
        assert_ne!(self.config["Panic"], json!(true), "asked to panic");
        self.set("running")?;
        self.config["IPAddress"] = json!("127.0.0.9");
        Ok(())
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        Ok(match fs::read_to_string(&self.file).as_deref() {
            Ok("running") => MachineState::Running,
            Ok(_) => MachineState::Stopped,
            Err(_) => MachineState::NotFound,
        })
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        self.set("running")
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        self.set("stopped")
    }

    async fn restart(&mut self) -> Result<Restart, DriverError> {
        Ok(Restart::AskHost)
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        self.set("stopped")
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        // It may have gone already.
        let _ = fs::remove_file(&self.file);
        Ok(())
    }

    async fn ip(&self) -> Result<String, DriverError> {
        match self.config["IPAddress"].as_str() {
            Some(ip) if !ip.is_empty() => Ok(ip.to_owned()),
            _ => Err(DriverError::refused("the machine has no address yet").with_hint("create it")),
        }
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        Ok(SshEndpoint {
            host: self.ip().await?,
            port: 22,
            user: "root".to_owned(),
            key: Some("/keys/one".into()),
            host_key: None,
        })
    }
}
