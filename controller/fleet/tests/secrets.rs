//! Secrets that are given by reference are in nobody's hands but the driver's.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use berth_controller_fleet::{CreateRequest, Fleet, Progress};
use berth_provisioners_api::{
    Driver, DriverError, FlagSpec, FlagValue, FlagValues, Journal, Machine, MachineContext,
    MachineState, Registry, SshEndpoint,
};
use serde_json::{Value, json};

const SECRET: &str = "5up3r-s3cret-t0ken";

/// A driver that writes its token wherever a careless one would.
#[derive(Clone, Debug, Default)]
struct Careless {
    seen: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
struct CarelessMachine {
    driver: Careless,
    token: String,
    address: String,
}

impl Driver for Careless {
    fn name(&self) -> &str {
        "careless"
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        Ok(vec![
            FlagSpec::text("careless-token", "", "Token").with_secret(),
        ])
    }

    fn configure(
        &self,
        _context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        Ok(Box::new(CarelessMachine {
            driver: self.clone(),
            token: flags.text("careless-token").to_owned(),
            address: String::new(),
        }))
    }

    fn load(
        &self,
        _context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        Ok(Box::new(CarelessMachine {
            driver: self.clone(),
            token: config["AccessToken"].as_str().unwrap().to_owned(),
            address: config["IPAddress"].as_str().unwrap().to_owned(),
        }))
    }
}

#[async_trait]
impl Machine for CarelessMachine {
    fn config(&self) -> Value {
        json!({
            "IPAddress": self.address, "AccessToken": self.token,
            "Url": format!("https://me:{}@api.example.org", self.token), "Tags": [self.token],
        })
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        self.driver.seen.lock().unwrap().push(self.token.clone());
        journal.say(&format!("logging in with {}", self.token));
        journal.step("instance", &self.config()).unwrap();
        Err(DriverError::failed(
            format!("cannot log in with {}", self.token),
            format!("401 for token {}", self.token),
        )
        .with_hint(format!("is {} right?", self.token)))
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        self.driver.seen.lock().unwrap().push(self.token.clone());
        Ok(MachineState::Stopped)
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
        Ok(())
    }

    fn facts_are_at_hand(&self) -> bool {
        !self.address.is_empty()
    }

    async fn ip(&self) -> Result<String, DriverError> {
        if !self.address.is_empty() {
            return Ok(self.address.clone());
        }
        Err(DriverError::refused(format!(
            "{} has no address",
            self.token
        )))
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        Err(DriverError::refused("none"))
    }
}

/// Keeps everything that an operator would see.
#[derive(Debug, Default)]
struct Told(Mutex<String>);

impl Progress for Told {
    fn step(&self, _machine: &str, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }

    fn notice(&self, _machine: &str, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

/// Returns the files of a folder whose content has the secret in it.
fn files_with_the_secret(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_the_secret(&path));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(SECRET) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn request(reference: &str) -> CreateRequest {
    let mut flags = FlagValues::default();
    flags.set("careless-token", FlagValue::Text(reference.to_owned()));
    CreateRequest {
        name: "demo".to_owned(),
        driver: "careless".to_owned(),
        flags,
        ..CreateRequest::default()
    }
}

async fn is_kept_out_of_the_store(reference: &str) -> (tempfile::TempDir, Fleet, Careless) {
    let driver = Careless::default();
    let root = tempfile::tempdir().unwrap();
    let fleet = Fleet::open(root.path(), Registry::new().with(driver.clone())).unwrap();
    let told = Told::default();
    let error = fleet.create(&request(reference), &told).await.unwrap_err();
    let mut said = format!("{error:?} {:?}", error.hint());
    said.push_str(&told.0.lock().unwrap());
    assert!(!said.contains(SECRET), "{said}");
    assert!(said.contains(reference), "{said}");
    assert_eq!(fleet.state("demo").await.unwrap(), MachineState::Stopped);
    let error = fleet.ip("demo").await.unwrap_err();
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    let inspected = fleet.inspect("demo").unwrap();
    assert_eq!(inspected["Driver"]["AccessToken"], reference);
    assert_eq!(
        inspected["Driver"]["Url"],
        format!("https://me:{reference}@api.example.org")
    );
    assert_eq!(files_with_the_secret(root.path()), Vec::<String>::new());
    let seen = driver.seen.lock().unwrap().clone();
    assert!(
        seen.len() >= 2 && seen.iter().all(|token| token == SECRET),
        "{seen:?}"
    );
    (root, fleet, driver)
}

#[tokio::test]
async fn secret_of_a_file_is_read_each_time_that_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    let reference = format!("file:{}", path.display());
    let (_root, fleet, driver) = is_kept_out_of_the_store(&reference).await;
    fs::write(&path, "another-one").unwrap();
    fleet.state("demo").await.unwrap();
    assert_eq!(driver.seen.lock().unwrap().last().unwrap(), "another-one");
    fs::remove_file(&path).unwrap();
    let error = fleet.state("demo").await.unwrap_err();
    let told = format!("{error:?}");
    assert!(
        told.contains("secrets of machine demo are missing"),
        "{told}"
    );
    assert!(told.contains("File"), "{told}");
    assert!(error.hint().is_some());
    // What the record says needs no secret.
    let mut record = fleet.store().load(&"demo".parse().unwrap()).unwrap();
    record.side.progress = berth_controller_store::Progress::Ready;
    let mut config = record.config.driver().clone();
    config["IPAddress"] = json!("192.0.2.7");
    record.config.set_driver(config);
    fleet.store().save(&record).unwrap();
    assert_eq!(fleet.ip("demo").await.unwrap(), "192.0.2.7");
    let facts = fleet.env_facts("demo").await.unwrap();
    assert_eq!(facts.url, "tcp://192.0.2.7:2376");
    // Nothing is written down of a removal that cannot begin.
    let error = fleet.remove("demo", false, &Told::default()).await;
    error.unwrap_err();
    let record = fleet.store().load(&"demo".parse().unwrap()).unwrap();
    assert_eq!(
        record.side.progress,
        berth_controller_store::Progress::Ready
    );
    // What is left is removed all the same.
    fleet.remove("demo", true, &Told::default()).await.unwrap();
    assert!(!fleet.exists("demo"));
}

/// Set in the process in which [`secret_of_a_helper_is_asked_for`] goes on.
const TOKEN: &str = "BERTH_TEST_TOKEN";

#[tokio::test]
async fn secret_of_a_helper_is_asked_for() {
    if std::env::var_os(TOKEN).is_some() {
        return with_helper_and_variable_in_the_environment().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let helper = folder.path().join("docker-credential-berthtest");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = vault/key ] || {{ echo nothing; exit 1; }}\n\
         echo '{{\"ServerURL\":\"x\",\"Username\":\"u\",\"Secret\":\"{SECRET}\"}}'\n"
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    // The helper is found through PATH, which belongs to the whole process: another process it is.
    let test = std::env::current_exe().unwrap();
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    let output = std::process::Command::new(test)
        .args(["--exact", "secret_of_a_helper_is_asked_for"])
        .env("PATH", path)
        .env(TOKEN, SECRET)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

async fn with_helper_and_variable_in_the_environment() {
    drop(is_kept_out_of_the_store("cred:berthtest/vault/key").await);
    drop(is_kept_out_of_the_store("env:BERTH_TEST_TOKEN").await);
    let error = Fleet::open(
        tempfile::tempdir().unwrap().path(),
        Registry::new().with(Careless::default()),
    )
    .unwrap()
    .create(&request("cred:berthtest/other"), &Told::default())
    .await
    .unwrap_err();
    assert!(format!("{error:?}").contains("nothing"), "{error:?}");
}
