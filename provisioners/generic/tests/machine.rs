//! The driver as the fleet uses it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use berth_provisioners_api::{
    Driver as _, DriverError, FlagValue, FlagValues, Journal, JournalError, MachineContext,
    MachineState,
};
use berth_provisioners_generic::GenericDriver;
use serde_json::{Value, json};

#[derive(Default)]
struct Steps(Mutex<Vec<String>>);

impl Journal for Steps {
    fn step(&self, step: &str, _config: &Value) -> Result<(), JournalError> {
        self.0.lock().unwrap().push(step.to_owned());
        Ok(())
    }

    fn say(&self, _message: &str) {}
}

fn context(directory: &tempfile::TempDir) -> MachineContext {
    MachineContext {
        name: "g1".to_owned(),
        directory: directory.path().join("machines/g1"),
        store_root: directory.path().to_owned(),
    }
}

fn flags(pairs: &[(&str, FlagValue)]) -> FlagValues {
    let mut values = FlagValues::defaults(&GenericDriver.flags().unwrap());
    for (name, value) in pairs {
        values.set(*name, value.clone());
    }
    values
}

fn text(value: &str) -> FlagValue {
    FlagValue::Text(value.to_owned())
}

#[tokio::test]
async fn create_keeps_a_private_copy_of_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let context = context(&directory);
    fs::create_dir_all(&context.directory).unwrap();
    let key = directory.path().join("mykey");
    fs::write(&key, "secret").unwrap();
    for end in [".pub", "-cert.pub"] {
        fs::write(directory.path().join(format!("mykey{end}")), end).unwrap();
    }
    let flags = flags(&[
        ("generic-ip-address", text("192.0.2.9")),
        ("generic-ssh-key", text(key.to_str().unwrap())),
        ("generic-ssh-port", FlagValue::Number(2222)),
    ]);
    let mut machine = GenericDriver.configure(&context, &flags).unwrap();
    machine.pre_create_check().await.unwrap();
    let steps = Steps::default();
    machine.create(&steps).await.unwrap();
    machine.create(&steps).await.unwrap();
    assert_eq!(steps.0.into_inner().unwrap()[0], "ssh-key");
    let copy = context.directory.join("mykey");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "secret");
    assert_eq!(
        fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o600
    );
    for end in [".pub", "-cert.pub"] {
        let beside = context.directory.join(format!("mykey{end}"));
        assert_eq!(fs::read_to_string(beside).unwrap(), end);
    }
    assert_eq!(fs::read_dir(&context.directory).unwrap().count(), 3);
    let endpoint = machine.ssh_endpoint().await.unwrap();
    assert_eq!((endpoint.port, endpoint.user.as_str()), (2222, "root"));
    assert_eq!(endpoint.key, Some(copy));
    assert_eq!(machine.engine_url().await.unwrap(), "tcp://192.0.2.9:2376");
}

#[test]
fn configuration_has_docker_machines_keys() {
    let directory = tempfile::tempdir().unwrap();
    let flags = flags(&[("generic-ip-address", text("[fd00::9]"))]);
    let machine = GenericDriver
        .configure(&context(&directory), &flags)
        .unwrap();
    let config = machine.config();
    let keys: Vec<&str> = config
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys[0], "IPAddress");
    assert_eq!(keys[keys.len() - 2..], ["EnginePort", "SSHKey"]);
    assert_eq!(config["IPAddress"], "fd00::9");
}

#[tokio::test]
async fn machine_that_docker_machine_has_made_is_loaded_and_its_unknown_keys_kept() {
    let directory = tempfile::tempdir().unwrap();
    let config = json!({"IPAddress": "fd00::7", "SSHPort": 0, "Later": {"a": 1}});
    let machine = GenericDriver.load(&context(&directory), config).unwrap();
    assert_eq!(machine.config()["Later"]["a"], 1);
    assert_eq!(machine.ssh_endpoint().await.unwrap().port, 22);
    assert_eq!(machine.engine_url().await.unwrap(), "tcp://[fd00::7]:2376");
}

#[tokio::test]
async fn missing_address_and_missing_key_are_said_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let context = context(&directory);
    let error = GenericDriver.configure(&context, &flags(&[])).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("flag --generic-ip-address needs"),
        "{error}"
    );
    let flags = flags(&[
        ("generic-ip-address", text("192.0.2.9")),
        ("generic-ssh-key", text("/nonexistent/key")),
    ]);
    let machine = GenericDriver.configure(&context, &flags).unwrap();
    let error = machine.pre_create_check().await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/key"), "{error}");
}

#[tokio::test]
async fn state_is_whether_the_ssh_port_answers() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = json!({"IPAddress": "127.0.0.1", "SSHPort": port});
    let mut machine = GenericDriver.load(&context(&directory), config).unwrap();
    assert_eq!(machine.state().await.unwrap(), MachineState::Running);
    machine.start().await.unwrap();
    drop(listener);
    assert_eq!(machine.state().await.unwrap(), MachineState::Stopped);
    for result in [
        machine.start().await,
        machine.stop().await,
        machine.kill().await,
    ] {
        assert!(matches!(result, Err(DriverError::Unsupported { .. })));
    }
}

#[tokio::test]
async fn another_way_of_dialling_decides_when_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let driver = GenericDriver.dialling(Arc::new(|host, port| {
        Box::pin(async move {
            if (host.as_str(), port) == ("behind", 22) {
                return Ok(());
            }
            Err(std::io::ErrorKind::HostUnreachable.into())
        })
    }));
    for (host, state) in [
        ("behind", MachineState::Running),
        ("nowhere", MachineState::Stopped),
    ] {
        let config = json!({"IPAddress": host});
        let machine = driver.load(&context(&directory), config).unwrap();
        assert_eq!(machine.state().await.unwrap(), state, "{host}");
    }
}
