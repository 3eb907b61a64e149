use std::path::Path;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;
use crate::Record;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Lease {
    address: String,
}

impl Record for Lease {
    const TABLE: &'static str = "leases";
    const VERSION: u32 = 1;
}

fn lease(address: &str) -> Lease {
    Lease {
        address: address.to_owned(),
    }
}

fn put(state: &State, key: &str, address: &str) -> Result<(), StateError> {
    state.write(|writer| writer.put(key, &lease(address)))
}

fn get(state: &State, key: &str) -> Option<Lease> {
    state
        .read(|reader| reader.get::<Lease>(key))
        .expect("a readable record")
}

fn open(directory: &Path) -> State {
    State::open(&directory.join("state.redb")).expect("an open state")
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    put(&open(directory.path()), "a", "10.0.0.2").unwrap();
    assert_eq!(get(&open(directory.path()), "a"), Some(lease("10.0.0.2")));
}

#[test]
fn what_was_written_behind_is_there_after_a_clean_end() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    state
        .write_behind(|writer| writer.put("a", &lease("10.0.0.2")))
        .unwrap();
    assert_eq!(get(&state, "a"), Some(lease("10.0.0.2")));
    drop(state);
    assert_eq!(get(&open(directory.path()), "a"), Some(lease("10.0.0.2")));
}

/// The file as it is on the disk while the process still runs is what a killed process leaves.
#[test]
fn a_killed_process_loses_nothing_that_was_durable() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    put(&state, "a", "10.0.0.2").unwrap();
    state
        .write_behind(|writer| writer.put("b", &lease("10.0.0.3")))
        .unwrap();
    put(&state, "c", "10.0.0.4").unwrap();
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(
        directory.path().join("state.redb"),
        copy.path().join("state.redb"),
    )
    .unwrap();
    let killed = open(copy.path());
    for (key, address) in [("a", "10.0.0.2"), ("b", "10.0.0.3"), ("c", "10.0.0.4")] {
        assert_eq!(get(&killed, key), Some(lease(address)));
    }
}

#[test]
fn many_changes_written_behind_reach_the_disk_by_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    for n in 0..=MAX_BEHIND {
        state
            .write_behind(|writer| writer.put(&format!("{n:04}"), &lease("10.0.0.2")))
            .unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(
        directory.path().join("state.redb"),
        copy.path().join("state.redb"),
    )
    .unwrap();
    assert!(get(&open(copy.path()), "0000").is_some());
}

#[test]
fn an_error_of_the_closure_rolls_everything_back() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    let result: Result<(), StateError> = state.write(|writer| {
        writer.put("a", &lease("10.0.0.2"))?;
        Err(StateError::Truncated {
            table: "leases",
            key: "a".to_owned(),
        })
    });
    assert!(matches!(result, Err(StateError::Truncated { .. })));
    assert_eq!(get(&state, "a"), None);
}

#[test]
fn a_panic_in_a_closure_leaves_the_state_usable() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    let panicking = state.clone();
    std::thread::spawn(move || {
        let _: Result<(), StateError> = panicking.write(|writer| {
            writer.put("a", &lease("10.0.0.2"))?;
            panic!("in the middle of a transaction");
        });
    })
    .join()
    .unwrap_err();
    assert_eq!(get(&state, "a"), None);
    put(&state, "a", "10.0.0.3").unwrap();
    assert_eq!(get(&state, "a"), Some(lease("10.0.0.3")));
}

#[test]
fn insert_keeps_what_is_there_and_remove_says_whether_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    state
        .write(|writer| -> Result<(), StateError> {
            assert!(writer.insert("a", &lease("10.0.0.2"))?);
            assert!(!writer.insert("a", &lease("10.0.0.9"))?);
            assert!(!writer.remove::<Lease>("b")?);
            Ok(())
        })
        .unwrap();
    assert_eq!(get(&state, "a"), Some(lease("10.0.0.2")));
    assert!(state.write(|writer| writer.remove::<Lease>("a")).unwrap());
    assert_eq!(get(&state, "a"), None);
}

#[test]
fn the_file_is_for_one_process_and_one_opening() {
    let directory = tempfile::tempdir().unwrap();
    let _state = open(directory.path());
    let second = State::open(&directory.path().join("state.redb"));
    assert!(matches!(second, Err(OpenError::InUse { .. })));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    std::fs::write(&path, "not a database, and longer than nothing").unwrap();
    assert!(matches!(
        State::open(&path),
        Err(OpenError::Database { .. })
    ));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "not a database, and longer than nothing"
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct LeaseV2 {
    addresses: Vec<String>,
}

impl Record for LeaseV2 {
    const TABLE: &'static str = "leases";
    const VERSION: u32 = 2;

    fn migrate(from: u32, value: Value) -> Result<Value, MigrateError> {
        match from {
            1 => Ok(serde_json::json!({ "addresses": [value["address"]] })),
            version => Err(MigrateError::UnknownVersion {
                table: Self::TABLE,
                version,
            }),
        }
    }
}

#[test]
fn an_old_record_is_migrated_and_a_newer_one_refused() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    put(&state, "a", "10.0.0.2").unwrap();
    let migrated: Option<LeaseV2> = state
        .read::<_, StateError>(|reader| reader.get("a"))
        .unwrap();
    let expected = LeaseV2 {
        addresses: vec!["10.0.0.2".to_owned()],
    };
    assert_eq!(migrated, Some(expected));
    state
        .write::<_, StateError>(|writer| writer.put("a", &migrated.unwrap()))
        .unwrap();
    let old: Result<Option<Lease>, StateError> = state.read(|reader| reader.get("a"));
    assert!(matches!(
        old,
        Err(StateError::NewerVersion {
            version: 2,
            known: 1,
            ..
        })
    ));
}

struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    fn new(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        nix::mount::mount(
            Some("tmpfs"),
            directory.path(),
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            Some(options),
        )
        .unwrap();
        Self { directory }
    }

    fn fill(&self) -> PathBuf {
        let path = self.directory.path().join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        let written = io::copy(&mut io::repeat(1), &mut file);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount2(self.directory.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_still_takes_small_writes() {
    let disk = SmallDisk::new("size=8m");
    let state = open(disk.directory.path());
    disk.fill();
    for n in 0..50 {
        put(&state, &format!("key {n}"), "10.0.0.2").unwrap();
    }
}

#[test]
fn a_write_that_finds_the_disk_full_fails_clearly_and_works_again_after_space_is_freed() {
    let disk = SmallDisk::new("size=16m");
    let state = open(disk.directory.path());
    put(&state, "durable", "10.0.0.2").unwrap();
    state
        .write_behind(|writer| writer.put("behind", &lease("10.0.0.3")))
        .unwrap();
    let ballast = disk.fill();
    let large = "x".repeat(1024 * 1024);
    let error = (0..64)
        .find_map(|n| put(&state, &format!("large {n}"), &large).err())
        .expect("a full disk");
    assert!(error.is_disk_full(), "{error:?}");
    std::fs::remove_file(ballast).unwrap();
    put(&state, "after", "10.0.0.4").unwrap();
    for (key, address) in [
        ("durable", "10.0.0.2"),
        ("behind", "10.0.0.3"),
        ("after", "10.0.0.4"),
    ] {
        assert_eq!(get(&state, key), Some(lease(address)));
    }
    drop(state);
    assert_eq!(
        get(&open(disk.directory.path()), "behind"),
        Some(lease("10.0.0.3"))
    );
}

#[test]
fn writers_at_the_same_time_lose_no_update() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    state
                        .write(|writer| -> Result<(), StateError> {
                            let old = writer.get::<Lease>("n")?;
                            let n = old.map_or(0, |old| old.address.parse::<u32>().unwrap());
                            writer.put("n", &lease(&(n + 1).to_string()))
                        })
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(get(&state, "n"), Some(lease("100")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A prefix is a prefix of the key's bytes, whatever the keys are.
    #[test]
    fn prefix_finds_exactly_the_keys_that_begin_with_it(
        keys in proptest::collection::btree_set("[ab/]{0,4}", 0..12),
        prefix in "[ab/]{0,2}",
    ) {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path());
        state.write(|writer| keys.iter().try_for_each(|key| writer.put(key, &lease(key)))).unwrap();
        let found = state.read(|reader| reader.prefix::<Lease>(&prefix)).unwrap();
        let found: Vec<_> = found.into_iter().map(|(key, _)| key).collect();
        let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(&prefix)).cloned().collect();
        prop_assert_eq!(found, expected);
    }
}
