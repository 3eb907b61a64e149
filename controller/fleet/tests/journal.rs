//! Creating, going on, removing and listing, with a driver that fails wherever it is told to.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

mod cloud;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use berth_controller_fleet::{
    CreateError, CreateRequest, Fleet, LifecycleError, MachineError, Progress, ProvisionError,
    RemoveError, RowState, Silent, SshError,
};
use berth_controller_store::{self as store, LockError, StepRecord, Store};
use berth_provisioners_api::{MachineState, Registry};
use berth_tests_support::{Sshd, SshdOptions, free_port};
use cloud::{Cloud, PARTS};

/// A record that no berth of today can read; a torn one would be mended.
const OF_THE_FUTURE: &str = "{\"ConfigVersion\": 99}";

struct Fixture {
    cloud: Cloud,
    root: tempfile::TempDir,
    fleet: Fleet,
}

impl Fixture {
    fn new() -> Self {
        let cloud = Cloud::new();
        let root = tempfile::tempdir().unwrap();
        let fleet = Fleet::open(root.path(), Registry::new().with(cloud.clone()))
            .unwrap()
            // Never started: what these tests look at happens before.
            .with_agent(Path::new("/bin/true"));
        Self { cloud, root, fleet }
    }

    async fn create(&self, name: &str) -> Result<(), CreateError> {
        let request = CreateRequest {
            name: name.to_owned(),
            driver: "cloud".to_owned(),
            ..CreateRequest::default()
        };
        self.fleet.create(&request, &Silent).await.map(drop)
    }

    fn side(&self, name: &str) -> String {
        fs::read_to_string(self.root.path().join(format!("machines/{name}/berth.json"))).unwrap()
    }

    fn locks(&self) -> usize {
        let entries = fs::read_dir(self.root.path().join(".locks")).unwrap();
        entries
            .filter(|e| {
                !e.as_ref()
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .starts_with('_')
            })
            .count()
    }
}

fn all_parts(machine: &str) -> Vec<String> {
    let mut parts: Vec<String> = PARTS
        .iter()
        .map(|part| format!("{machine}.{part}"))
        .collect();
    parts.sort();
    parts
}

#[tokio::test]
async fn failed_create_is_on_record_and_can_be_removed() {
    for part in PARTS {
        let fixture = Fixture::new();
        fixture.cloud.wish(|wishes| wishes.fail_after = Some(part));
        let error = fixture.create("m1").await.unwrap_err();
        assert!(matches!(error, CreateError::Driver { .. }), "{error:?}");
        assert_eq!(error.hint().unwrap(), "try again");
        assert!(
            fixture
                .side("m1")
                .contains(&format!("\"step\": \"{part}\""))
        );
        fixture.fleet.remove("m1", false, &Silent).await.unwrap();
        assert_eq!(fixture.cloud.parts(), [""; 0]);
        assert_eq!(fixture.fleet.names().unwrap(), [""; 0]);
        assert_eq!(fixture.locks(), 0);
    }
}

#[tokio::test]
async fn half_removed_machine_can_only_be_removed() {
    let fixture = Fixture::new();
    let wish = |wishes: &mut cloud::Wishes| wishes.fail_after = Some("instance");
    fixture.cloud.wish(wish);
    fixture.create("m1").await.unwrap_err();
    let store = Store::open(fixture.root.path()).unwrap();
    let mut record = store.load(&"m1".parse().unwrap()).unwrap();
    let done = StepRecord {
        step: "the driver is done".to_owned(),
        at: 1,
    };
    record.side.journal.push(done);
    record.side.progress = store::Progress::Removing;
    store.save_side(&record).unwrap();
    let before = fixture.side("m1");
    let provision = fixture.fleet.provision("m1", &Silent).await.unwrap_err();
    assert!(
        matches!(
            &provision,
            ProvisionError::Machine(MachineError::HalfRemoved(name)) if name == "m1"
        ),
        "{provision:?}"
    );
    assert!(provision.hint().unwrap().contains("machine rm m1"));
    let upgrade = fixture.fleet.upgrade("m1", &Silent).await.unwrap_err();
    assert!(
        matches!(
            upgrade,
            ProvisionError::Machine(MachineError::HalfRemoved(_))
        ),
        "{upgrade:?}"
    );
    for error in [
        fixture.fleet.start("m1", &Silent).await.unwrap_err(),
        fixture.fleet.restart("m1", &Silent).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, LifecycleError::Machine(MachineError::HalfRemoved(_))),
            "{error:?}"
        );
    }
    assert_eq!(fixture.side("m1"), before);
    fixture.fleet.remove("m1", false, &Silent).await.unwrap();
    assert_eq!(fixture.fleet.names().unwrap(), [""; 0]);
}

#[tokio::test]
async fn create_that_was_cut_off_goes_on() {
    for part in PARTS {
        let fixture = Fixture::new();
        fixture.cloud.wish(|wishes| wishes.hang_after = Some(part));
        tokio::select! {
            result = fixture.create("m1") => panic!("{result:?}"),
            () = fixture.cloud.until_it_hangs() => {}
        }
        let refused = fixture.fleet.agent("m1", &Silent).await.unwrap_err();
        assert!(refused.hint().unwrap().contains("create"), "{refused:?}");
        let row = fixture.fleet.ls_one("m1", Duration::from_secs(5)).await;
        assert_eq!(row.state, RowState::Creating);
        fixture.fleet.start("m1", &Silent).await.unwrap_err();
        fixture.fleet.provision("m1", &Silent).await.unwrap_err();
        fixture.cloud.wish(|wishes| wishes.hang_after = None);
        // There is no SSH server behind it, so it gets as far as that.
        let error = fixture.create("m1").await.unwrap_err();
        assert!(matches!(error, CreateError::Provision(_)), "{error:?}");
        assert_eq!(fixture.cloud.parts(), all_parts("m1"));
        fixture.fleet.remove("m1", false, &Silent).await.unwrap();
        assert_eq!(fixture.cloud.parts(), [""; 0]);
    }
}

#[tokio::test]
async fn refusal_before_anything_is_made_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.cloud.wish(|wishes| wishes.refuse = true);
    let error = fixture.create("m1").await.unwrap_err();
    assert!(matches!(error, CreateError::PreCreateCheck(_)), "{error:?}");
    assert!(!fixture.fleet.exists("m1"));
    assert_eq!(fixture.locks(), 0);
}

#[tokio::test]
async fn two_creates_of_one_name_do_not_meet() {
    let fixture = Fixture::new();
    fixture
        .cloud
        .wish(|wishes| wishes.hang_after = Some("disk"));
    tokio::select! {
        result = fixture.create("m1") => panic!("{result:?}"),
        () = async {
            fixture.cloud.until_it_hangs().await;
            let error = fixture.create("m1").await.unwrap_err();
            assert!(matches!(error, CreateError::Locked(LockError::Busy { .. })), "{error:?}");
            let error = fixture.fleet.remove("m1", true, &Silent).await.unwrap_err();
            assert!(matches!(error, RemoveError::Locked(_)), "{error:?}");
        } => {}
    }
}

#[tokio::test]
async fn bad_names_unknown_drivers_and_absent_machines_are_told_apart() {
    let fixture = Fixture::new();
    let error = fixture.create("../x").await.unwrap_err();
    assert!(
        matches!(error, CreateError::Machine(MachineError::Name(_))),
        "{error:?}"
    );
    let request = CreateRequest {
        name: "m1".to_owned(),
        driver: "none-such".to_owned(),
        ..CreateRequest::default()
    };
    let error = fixture.fleet.create(&request, &Silent).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.starts_with("drivers of this berth: cloud"), "{hint}");
    let error = fixture.fleet.state("absent").await.unwrap_err();
    assert!(matches!(error, MachineError::Absent(_)), "{error:?}");
    fixture
        .fleet
        .remove("absent", false, &Silent)
        .await
        .unwrap_err();
    fixture.fleet.remove("absent", true, &Silent).await.unwrap();
}

#[tokio::test]
async fn directory_without_a_record_is_begun_again_or_removed() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.root.path().join("machines/m1")).unwrap();
    fixture.fleet.remove("m1", false, &Silent).await.unwrap();
    fs::create_dir(fixture.root.path().join("machines/m1")).unwrap();
    let error = fixture.create("m1").await.unwrap_err();
    assert!(matches!(error, CreateError::Provision(_)), "{error:?}");
}

#[tokio::test]
async fn list_waits_for_no_machine_longer_than_its_deadline() {
    let fixture = Fixture::new();
    for name in ["broken", "gone", "silent"] {
        fixture.create(name).await.unwrap_err();
        // As if it had been finished: provisioning is not what is looked at here.
        let store = Store::open(fixture.root.path()).unwrap();
        let mut record = store.load(&name.parse().unwrap()).unwrap();
        record.side.progress = berth_controller_store::Progress::Ready;
        store.save_side(&record).unwrap();
    }
    fs::write(
        fixture.root.path().join("machines/broken/config.json"),
        OF_THE_FUTURE,
    )
    .unwrap();
    fixture
        .cloud
        .wish(|wishes| wishes.silent = ["silent".to_owned()].into());
    fixture.fleet.remove("gone", false, &Silent).await.unwrap();
    let begin = std::time::Instant::now();
    let rows = fixture.fleet.ls(Duration::from_millis(200)).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2));
    let states: Vec<(&str, RowState)> = rows.iter().map(|r| (r.name.as_str(), r.state)).collect();
    assert_eq!(
        states,
        [("broken", RowState::Error), ("silent", RowState::Timeout)]
    );
    assert!(
        rows[0].error.as_ref().unwrap().contains("config.json"),
        "{rows:?}"
    );
}

#[tokio::test]
async fn unreadable_record_is_removed_only_by_force() {
    #[derive(Default)]
    struct Notices(Mutex<Vec<String>>);
    impl Progress for Notices {
        fn step(&self, _machine: &str, _text: &str) {}
        fn notice(&self, _machine: &str, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
    let fixture = Fixture::new();
    fixture.create("m1").await.unwrap_err();
    fs::write(
        fixture.root.path().join("machines/m1/config.json"),
        OF_THE_FUTURE,
    )
    .unwrap();
    fixture
        .fleet
        .remove("m1", false, &Silent)
        .await
        .unwrap_err();
    let notices = Notices::default();
    fixture.fleet.remove("m1", true, &notices).await.unwrap();
    assert!(notices.0.into_inner().unwrap()[0].contains("only the record"));
    assert!(!fixture.fleet.exists("m1"));
}

#[tokio::test]
async fn host_key_is_pinned_at_creation_and_a_changed_one_refused() {
    let fixture = Fixture::new();
    let port = free_port();
    let options = SshdOptions {
        port: Some(port),
        private_root: true,
        ..SshdOptions::default()
    };
    let sshd = Sshd::start(&options);
    fixture.cloud.wish(|wishes| {
        wishes.ssh = Some((port, sshd.client_key()));
        wishes.engine_port = free_port();
    });
    // The agent is none, so creation ends there; the key is on record by then.
    let error = fixture.create("m1").await.unwrap_err();
    assert!(matches!(error, CreateError::Provision(_)), "{error:?}");
    let known = sshd.host_key();
    let known = known.rsplit_once(' ').unwrap().0;
    assert!(fixture.side("m1").contains(known));
    fixture.fleet.ssh("m1").await.unwrap().close().await;
    drop(sshd);
    let other = Sshd::start(&options);
    fixture
        .cloud
        .wish(|wishes| wishes.ssh = Some((port, other.client_key())));
    let error = fixture.fleet.ssh("m1").await.unwrap_err();
    assert!(matches!(error, SshError::Connect { .. }), "{error:?}");
    assert!(
        error.hint().unwrap().contains("host_key"),
        "{:?}",
        error.hint()
    );
    assert_eq!(
        fixture.fleet.state("m1").await.unwrap(),
        MachineState::Running
    );
}
