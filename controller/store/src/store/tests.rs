//! Tests of `store`.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;
use crate::{EngineOptions, Progress};

fn record(store: &Store, name: &str) -> MachineRecord {
    let name: MachineName = name.parse().unwrap();
    let paths = store.machine(&name);
    let engine = EngineOptions::default();
    let config = HostConfig::new(&name, "generic", &engine, &[], (&store.certs(), &paths));
    MachineRecord {
        name,
        config,
        side: SideRecord::default(),
    }
}

#[test]
fn saved_record_is_loaded_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut record = record(&store, "demo");
    record
        .config
        .set_driver(json!({"IPAddress": "10.1.2.3", "Deep": {"x": [1.5, null]}}));
    record.side.progress = Progress::Creating;
    store.save(&record).unwrap();
    assert_eq!(store.load(&record.name).unwrap(), record);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let paths = store.machine(&record.name);
    assert_eq!(mode(&paths.directory), 0o700);
    assert_eq!(mode(&paths.config), 0o600);
    assert_eq!(mode(&paths.side), 0o600);
    assert_eq!(mode(&root.path().join("certs")), 0o700);
}

#[test]
fn machines_are_directories_with_a_possible_name() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    store.save(&record(&store, "b")).unwrap();
    store.save(&record(&store, "a")).unwrap();
    fs::create_dir(root.path().join("machines/.new")).unwrap();
    fs::write(root.path().join("machines/file"), "").unwrap();
    let names: Vec<String> = store
        .list()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn absent_and_empty_machines_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let name: MachineName = "demo".parse().unwrap();
    assert!(matches!(store.load(&name), Err(LoadError::Absent(_))));
    fs::create_dir(root.path().join("machines/demo")).unwrap();
    assert!(matches!(store.load(&name), Err(LoadError::Empty(_))));
}

#[test]
fn removed_machine_leaves_nothing_and_can_be_removed_again() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let record = record(&store, "demo");
    store.save(&record).unwrap();
    store.remove(&record.name).unwrap();
    store.remove(&record.name).unwrap();
    assert!(!store.exists(&record.name));
}

#[test]
fn record_of_a_later_berth_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut record = record(&store, "demo");
    record.side.version = 2;
    store.save(&record).unwrap();
    assert!(matches!(
        store.load(&record.name),
        Err(LoadError::Future { .. })
    ));
}
