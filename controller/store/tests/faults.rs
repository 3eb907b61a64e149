//! What happens to a store when processes are killed, disks fill up and files are torn.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use berth_controller_store::{
    EngineOptions, HostConfig, LoadError, MachineName, MachineRecord, SideRecord, Store,
};
use serde_json::json;

/// Tells a copy of this test program to write until it is killed.
const WRITER: &str = "STORE_TEST_WRITER";

fn record(store: &Store, name: &str, counter: u64) -> MachineRecord {
    let name: MachineName = name.parse().unwrap();
    let (certs, paths) = (store.certs(), store.machine(&name));
    let mut config = HostConfig::new(&name, "x", &EngineOptions::default(), &[], (&certs, &paths));
    config.set_driver(json!({"Counter": counter, "Fill": "x".repeat(20_000)}));
    MachineRecord {
        name,
        config,
        side: SideRecord::default(),
    }
}

#[test]
fn writer() {
    let Some(root) = std::env::var_os(WRITER) else {
        return;
    };
    let store = Store::open(Path::new(&root)).unwrap();
    for counter in 1.. {
        let _lock = store.lock_machine(&"demo".parse().unwrap()).unwrap();
        store.save(&record(&store, "demo", counter)).unwrap();
    }
}

#[test]
fn record_is_whole_whenever_its_writer_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    store.save(&record(&store, "demo", 0)).unwrap();
    let config = store.machine(&"demo".parse().unwrap()).config;
    for round in 0..25_u64 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(WRITER, root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment is to be any moment: that is what is tested.
        thread::sleep(Duration::from_micros(15_000 + round * 1_371));
        for _ in 0..50 {
            assert!(config.is_file(), "there is no moment without the file");
            let seen = store.load(&"demo".parse().unwrap()).unwrap();
            assert_eq!(seen.config.damage(), None);
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        let left = store.load(&"demo".parse().unwrap()).unwrap();
        assert_eq!(left.config.damage(), None);
    }
    assert!(
        store
            .load(&"demo".parse().unwrap())
            .unwrap()
            .config
            .driver()["Counter"]
            .as_u64()
            > Some(0),
        "the writers wrote"
    );
    let _lock = store.lock_machine(&"demo".parse().unwrap()).unwrap();
    let left = fs::read_dir(store.machine(&"demo".parse().unwrap()).directory).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".new-"))
        .collect();
    assert!(
        left.is_empty(),
        "the next holder of the lock tidies up: {left:?}"
    );
}

#[test]
fn torn_records_are_read_from_their_copies_and_mended_by_the_next_save() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut saved = record(&store, "demo", 7);
    saved.side.host_key = Some("ssh-ed25519 AAAA".to_owned());
    store.save(&saved).unwrap();
    let paths = store.machine(&saved.name);
    let whole = fs::read(&paths.config).unwrap();
    for torn in [&b""[..], &whole[..whole.len() / 2], b"\0\0\0\0", b"{}"] {
        fs::write(&paths.config, torn).unwrap();
        fs::write(&paths.side, &torn[..torn.len().min(1)]).unwrap();
        let loaded = store.load(&saved.name).unwrap();
        assert!(loaded.config.damage().unwrap().contains("config.json"));
        assert_eq!(loaded.config.driver()["Counter"], 7);
        assert_eq!(loaded.side, saved.side);
        store.save(&loaded).unwrap();
        assert_eq!(store.load(&saved.name).unwrap(), saved);
    }
    fs::remove_file(&paths.config).unwrap();
    assert_eq!(
        store.load(&saved.name).unwrap().config.driver()["Counter"],
        7
    );
}

#[test]
fn torn_records_without_copies_say_what_to_do_and_can_be_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let saved = record(&store, "demo", 7);
    store.save(&saved).unwrap();
    let paths = store.machine(&saved.name);
    let tear = |name: &str| {
        fs::write(paths.directory.join(name), "{").unwrap();
        fs::remove_file(paths.directory.join(format!(".{name}.good"))).unwrap();
    };
    tear("berth.json");
    let error = store.load(&saved.name).unwrap_err();
    assert!(matches!(error, LoadError::Side { .. }), "{error}");
    assert!(error.hint().unwrap().contains("berth.json"));
    tear("config.json");
    let error = store.load(&saved.name).unwrap_err();
    assert!(matches!(error, LoadError::Config { .. }), "{error}");
    assert!(error.hint().unwrap().contains("rm -f"));
    assert_eq!(store.list().unwrap().len(), 1);
    store.remove(&saved.name).unwrap();
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn full_disk_is_said_and_leaves_the_record_as_it_was() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let root = tempfile::tempdir().unwrap();
    mount(
        Some("none"),
        root.path(),
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=200k"),
    )
    .unwrap_or_else(|errno| panic!("needs root: {errno}"));
    let store = Store::open(root.path()).unwrap();
    let mut saved = record(&store, "demo", 1);
    let outcome = store.save(&saved).and_then(|()| {
        fs::write(root.path().join("fill"), vec![0; 190_000]).unwrap_err();
        saved
            .config
            .set_driver(json!({"Counter": 2, "Fill": "y".repeat(90_000)}));
        store.save(&saved)
    });
    let loaded = store.load(&saved.name);
    let _ = umount2(root.path(), MntFlags::MNT_DETACH);
    let error = outcome.unwrap_err();
    assert!(error.hint().unwrap().contains("make room"), "{error:?}");
    let loaded = loaded.unwrap();
    assert_eq!(loaded.config.driver()["Counter"], 1);
    assert_eq!(loaded.config.damage(), None);
}

#[test]
fn copied_store_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("one")).unwrap();
    let mut saved = record(&store, "demo", 1);
    let old = folder.path().join("one");
    saved.config.set_driver(json!({
        "StorePath": old, "SSHKeyPath": old.join("machines/demo/id"), "SSHKey": "/home/me/id",
    }));
    store.save(&saved).unwrap();
    let status = Command::new("cp")
        .arg("-a")
        .args([&old, &folder.path().join("two")])
        .status()
        .unwrap();
    assert!(status.success());
    let copy = Store::open(&folder.path().join("two")).unwrap();
    let mut loaded = copy.load(&saved.name).unwrap();
    let text = String::from_utf8(loaded.config.to_bytes()).unwrap();
    assert!(!text.contains(old.to_str().unwrap()), "{text}");
    assert!(
        text.contains("/home/me/id") && text.contains("two/machines/demo/id"),
        "{text}"
    );
    loaded.config.set_driver(json!({}));
    copy.save(&loaded).unwrap();
    assert_eq!(store.load(&saved.name).unwrap(), saved);
}

#[test]
fn old_record_is_saved_as_version_3_beside_its_former_text() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let name: MachineName = "dev".parse().unwrap();
    let paths = store.machine(&name);
    fs::create_dir(&paths.directory).unwrap();
    let old = format!(
        r#"{{"DriverName":"generic","Driver":{{"MachineName":"dev","IPAddress":"10.0.0.1","Odd":123456789012345678901}},
        "StorePath":"{}","CaCertPath":"{}/certs/ca.pem"}}"#,
        paths.directory.display(),
        root.path().display()
    );
    fs::write(&paths.config, &old).unwrap();
    let record = store.load(&name).unwrap();
    assert_eq!(
        fs::read_to_string(&paths.config).unwrap(),
        old,
        "reading writes nothing"
    );
    store.save(&record).unwrap();
    assert_eq!(
        fs::read_to_string(paths.directory.join("config.json.bak")).unwrap(),
        old
    );
    let new = fs::read_to_string(&paths.config).unwrap();
    assert!(
        new.starts_with("{\n    \"ConfigVersion\": 3,\n    \"Driver\": {"),
        "{new}"
    );
    assert!(new.contains("\"Odd\": 123456789012345678901"), "{new}");
    assert_eq!(store.load(&name).unwrap(), record);
}

#[test]
fn staged_machine_appears_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let staged = store.stage().unwrap();
    staged.put("key.pem", b"k").unwrap();
    assert!(store.list().unwrap().is_empty());
    let other = store.stage().unwrap();
    assert!(
        staged.folder().is_dir(),
        "another one leaves this one alone"
    );
    staged.commit(&store, &record(&store, "demo", 1)).unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
    let folder = fs::metadata(root.path().join("machines/demo")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let error = other
        .commit(&store, &record(&store, "demo", 2))
        .unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::AlreadyExists);
    let demo: MachineName = "demo".parse().unwrap();
    assert_eq!(store.load(&demo).unwrap().config.driver()["Counter"], 1);
    fs::create_dir(root.path().join("machines/.stage-killed")).unwrap();
    drop(store.stage().unwrap());
    let left = fs::read_dir(root.path().join("machines")).unwrap().count();
    assert_eq!(left, 1, "what a killed process left is gone");
}
