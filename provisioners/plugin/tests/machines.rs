//! Machines of a plugin that behaves.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

mod support;

use std::fs;
use std::time::Duration;

use berth_provisioners_api::{FlagValue, MachineState, Restart, numbers};
use serde_json::json;
use support::{Bench, Notebook, chain, flags, wait_until};
use tokio::time::sleep;

/// How every connection begins: descriptions and calls as Go sends them, byte for byte.
const BEGINNING: &str = "2fff81030101075265717565737401ff82000102010d536572766963654d6574686f64010c0001035365710106000000\
    1fff82011a5250435365727665724472697665722e47657456657273696f6e00\
    0aff83030102ff8400000003ff8400";
/// The types of the options of a machine.
const OPTION_TYPES: &str = "22ff8503010108525043466c61677301ff86000101010656616c75657301ff88000000\
    27ff87040101176d61705b737472696e675d696e74657266616365207b7d01ff8800010c01100000\
    0cff89020102ff8a00010c0000";

#[tokio::test]
async fn a_machine_is_made_used_and_removed() {
    let bench = Bench::new();
    let driver = bench.driver();
    let mut machine = bench.configured(&*driver);
    machine.pre_create_check().await.unwrap();
    assert_eq!(machine.config()["Checked"], true);
    let notebook = Notebook::default();
    machine.create(&notebook).await.unwrap();

    let config = machine.config();
    assert_eq!(config["InstanceId"], "i-m1");
    assert_eq!(config["Large"], json!(12_345_678_901_234_567_890_u64));
    assert_eq!(config["IPAddress"], "127.0.0.1");
    assert!(config["BerthPlugin"].get("Before").is_none(), "{config}");
    let said = notebook.lines.lock().unwrap().join("\n");
    assert!(
        said.starts_with("Making instance of m1\nInstance made\n"),
        "{said}"
    );
    let debug = bench.said.lock().unwrap().clone();
    assert!(
        debug
            .iter()
            .any(|(debug, line)| *debug && line.ends_with("debugging is always on")),
        "{debug:?}"
    );

    assert_eq!(machine.state().await.unwrap(), MachineState::Running);
    machine.stop().await.unwrap();
    assert_eq!(machine.state().await.unwrap(), MachineState::Stopped);
    machine.stop().await.unwrap();
    machine.start().await.unwrap();
    machine.start().await.unwrap();
    assert_eq!(machine.restart().await.unwrap(), Restart::Done);
    machine.kill().await.unwrap();
    machine.remove().await.unwrap();
    machine.remove().await.unwrap();
    assert!(!bench.instance().exists());
    assert_eq!(machine.state().await.unwrap(), MachineState::NotFound);

    let pids = bench.pids();
    assert_eq!(pids.len(), 2, "one for the flags, one for the machine");
    drop(machine);
    bench.no_process_is_left();
    assert_eq!(
        bench.calls(pids[0]),
        [
            "GetVersion",
            "SetConfigRaw",
            "GetMachineName",
            "DriverName",
            "GetCreateFlags",
            "Close"
        ]
    );
    let calls = bench.calls(pids[1]);
    assert_eq!(
        calls[..9],
        [
            "GetVersion",
            "SetConfigRaw",
            "GetMachineName",
            "DriverName",
            "GetCreateFlags",
            "SetConfigFromFlags",
            "GetConfigRaw",
            "PreCreateCheck",
            "GetConfigRaw"
        ]
    );
    assert_eq!(calls.last().map(String::as_str), Some("Close"), "{calls:?}");
    assert_eq!(calls.iter().filter(|call| *call == "Stop").count(), 1);
}

#[tokio::test]
async fn what_is_sent_is_gos_byte_for_byte() {
    let bench = Bench::new();
    let driver = bench.driver();
    let machine = bench.configured(&*driver);
    let pids = bench.pids();
    assert_eq!(
        bench.record("handshakes").lines().next(),
        Some("CONNECT /_goRPC_ HTTP/1.0\\n\\n")
    );
    let wire = |pid: u32| hex::encode(fs::read(bench.path().join(format!("wire.{pid}"))).unwrap());
    assert!(wire(pids[0]).starts_with(BEGINNING), "{}", wire(pids[0]));
    assert!(wire(pids[1]).contains(OPTION_TYPES), "{}", wire(pids[1]));
    drop(machine);

    let options: serde_json::Value = serde_json::from_str(&bench.record("options")).unwrap();
    assert_eq!(options["pytest-engine-port"], 4376);
    assert_eq!(options["pytest-fast"], false);
    assert_eq!(options["pytest-tag"], json!(["usual"]));
    assert_eq!(options["engine-label"], json!(["a=b"]));
    assert_eq!(options["engine-install-url"], "https://get.docker.com");
    assert_eq!(options["swarm-master"], false);
    assert_eq!(options["driver"], "pytest");
    bench.no_process_is_left();
}

#[test]
fn flags_are_the_plugins() {
    let bench = Bench::new();
    let driver = bench.driver();
    let flags = driver.flags().unwrap();
    let port = flags.iter().find(|flag| flag.name == "pytest-ssh-port");
    let port = port.unwrap();
    assert_eq!(port.default, FlagValue::Number(22));
    assert_eq!(port.env.as_deref(), Some("PYTEST_SSH_PORT"));
    assert_eq!(port.help, "Port of SSH");
    let tag = flags.iter().find(|flag| flag.name == "pytest-tag").unwrap();
    assert_eq!(tag.default, FlagValue::List(vec!["usual".to_owned()]));
    driver.flags().unwrap();
    assert_eq!(bench.pids().len(), 1, "asked for once");
    bench.no_process_is_left();
}

#[tokio::test]
async fn plugins_of_the_older_service_name_are_spoken_to() {
    let bench = Bench::new();
    bench.misbehave("old");
    let driver = bench.driver();
    let mut machine = bench.configured(&*driver);
    machine.create(&Notebook::default()).await.unwrap();
    assert_eq!(machine.ip().await.unwrap(), "127.0.0.1");
    drop(machine);
    bench.no_process_is_left();
}

#[tokio::test]
async fn what_is_known_needs_no_process() {
    let bench = Bench::new();
    let driver = bench.driver();
    let mut made = bench.configured(&*driver);
    made.create(&Notebook::default()).await.unwrap();
    let config = made.config();
    drop(made);
    let n_started = bench.pids().len();

    let machine = driver.load(&bench.context(), config).unwrap();
    assert_eq!(machine.ip().await.unwrap(), "127.0.0.1");
    assert_eq!(machine.engine_url().await.unwrap(), "tcp://127.0.0.1:4376");
    assert_eq!(machine.engine_port(), 4376);
    let ssh = machine.ssh_endpoint().await.unwrap();
    assert_eq!(
        (ssh.host.as_str(), ssh.port, ssh.user.as_str()),
        ("127.0.0.1", 22, "root")
    );
    assert_eq!(ssh.key, Some(bench.context().directory.join("id_rsa")));
    assert_eq!(bench.pids().len(), n_started, "no process was started");

    assert_eq!(machine.state().await.unwrap(), MachineState::Running);
    assert_eq!(bench.pids().len(), n_started + 1, "and now one was");
    drop(machine);
    bench.no_process_is_left();
}

#[tokio::test]
async fn what_a_driver_says_is_told() {
    let bench = Bench::new();
    let driver = bench.driver();
    let mut flags = flags(&*driver);
    flags.set("pytest-address", FlagValue::Text(String::new()));
    let error = driver.configure(&bench.context(), &flags).unwrap_err();
    assert_eq!(
        chain(&error),
        "driver pytest refused SetConfigFromFlags: pytest driver requires the --pytest-address option"
    );
    let mut machine = driver
        .load(&bench.context(), json!({"MachineName": "m1"}))
        .unwrap();
    let error = machine.remove().await.unwrap_err();
    assert!(chain(&error).ends_with("Unknown instance id"), "{error:?}");
    assert!(error.hint().unwrap().contains("rm -f m1"));
    drop(machine);
    bench.no_process_is_left();
}

#[tokio::test]
async fn heartbeats_go_on_while_a_machine_is_made() {
    let bench = Bench::new();
    bench.misbehave("slow:late:5.5");
    let driver = bench.driver();
    let mut machine = bench.configured(&*driver);
    let notebook = Notebook::default();
    machine.create(&notebook).await.unwrap();
    let beats = bench.record("beats");
    let pid = bench.pids()[1].to_string();
    assert!(beats.lines().any(|line| line == pid), "{beats:?}");
    let steps = notebook.steps.lock().unwrap().clone();
    assert_eq!(
        steps.len(),
        2,
        "before, and once when there was something new: {steps:?}"
    );
    drop(machine);
    bench.no_process_is_left();
}

#[tokio::test]
async fn a_creation_that_was_cut_off_loses_nothing() {
    let bench = Bench::new();
    let driver = bench.driver();
    bench.misbehave("hang:late");
    let notebook = Notebook::default();
    let mut machine = bench.configured(&*driver);
    tokio::select! {
        made = machine.create(&notebook) => panic!("made: {made:?}"),
        () = async {
            while notebook.last()["InstanceId"] != "i-m1" {
                sleep(Duration::from_millis(10)).await;
            }
        } => {}
    }
    drop(machine);
    bench.no_process_is_left();
    bench.misbehave("");

    // It runs, so it stays.
    let mut again = driver.load(&bench.context(), notebook.last()).unwrap();
    again.create(&Notebook::default()).await.unwrap();
    assert_eq!(bench.record("made"), "m1\n");
    assert_eq!(again.config()["BerthPlugin"].get("Before"), None);
    again.create(&Notebook::default()).await.unwrap();
    drop(again);

    // It does not run any more, so another one is made.
    fs::remove_file(bench.instance()).unwrap();
    let mut anew = driver.load(&bench.context(), notebook.last()).unwrap();
    anew.create(&Notebook::default()).await.unwrap();
    assert_eq!(bench.record("made"), "m1\nm1\n");
    drop(anew);

    // And from the same record it can be removed.
    let mut gone = driver.load(&bench.context(), notebook.last()).unwrap();
    gone.remove().await.unwrap();
    assert!(!bench.instance().exists());
    drop(gone);
    bench.no_process_is_left();
}

#[tokio::test]
async fn a_creation_that_was_cut_off_before_it_began_goes_on_or_goes_away() {
    let bench = Bench::new();
    let driver = bench.driver();
    let configured = bench.configured(&*driver);
    configured.pre_create_check().await.unwrap();
    let config = configured.config();
    assert_eq!(config["BerthPlugin"]["Before"]["Checked"], true, "{config}");
    drop(configured);

    // Drivers that cannot be asked for what they have not made.
    bench.misbehave("error:GetState,error:Remove");
    let mut gone = driver.load(&bench.context(), config.clone()).unwrap();
    assert_eq!(gone.state().await.unwrap(), MachineState::NotFound);
    gone.remove().await.unwrap();
    drop(gone);
    bench.misbehave("");

    let mut made = driver.load(&bench.context(), config).unwrap();
    made.create(&Notebook::default()).await.unwrap();
    assert_eq!(bench.record("made"), "m1\n");
    assert_eq!(
        made.config().get("BerthPlugin").unwrap().get("Untouched"),
        None
    );
    made.remove().await.unwrap();
    assert!(!bench.instance().exists());
    drop(made);
    bench.no_process_is_left();
}

#[tokio::test]
async fn a_machine_stays_while_its_provider_cannot_tell_its_state() {
    let bench = Bench::new();
    let driver = bench.driver_with(|deadlines| deadlines.settle = Duration::from_secs(2));
    bench.misbehave("error:late");
    let notebook = Notebook::default();
    let mut machine = bench.configured(&*driver);
    machine.create(&notebook).await.unwrap_err();
    let config = machine.config();
    drop(machine);

    bench.misbehave("error:GetState");
    let mut again = driver.load(&bench.context(), config.clone()).unwrap();
    let error = again.create(&notebook).await.unwrap_err();
    assert!(
        chain(&error).ends_with("refused GetState: asked to fail in GetState"),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("nothing was changed"));
    assert!(bench.instance().exists());
    drop(again);

    // The provider is back within the time.
    let mut again = driver.load(&bench.context(), config).unwrap();
    let (again_made, ()) = tokio::join!(again.create(&notebook), async {
        let n_refused = count(&bench, "GetState");
        while count(&bench, "GetState") == n_refused {
            sleep(Duration::from_millis(10)).await;
        }
        bench.misbehave("");
    });
    again_made.unwrap();
    assert_eq!(bench.record("made"), "m1\n", "and it is the same");
    drop(again);
    bench.no_process_is_left();
}

/// Returns how often a method was called.
fn count(bench: &Bench, method: &str) -> usize {
    let calls = bench.record("calls");
    calls.lines().filter(|call| call.ends_with(method)).count()
}

#[tokio::test]
async fn a_check_may_take_as_long_as_work() {
    let bench = Bench::new();
    bench.misbehave("slow:PreCreateCheck:1.5");
    let driver = bench.driver_with(|deadlines| deadlines.question = Duration::from_secs(1));
    let machine = bench.configured(&*driver);
    machine.pre_create_check().await.unwrap();
    drop(machine);
    bench.no_process_is_left();
}

#[tokio::test]
async fn numbers_keep_their_digits_on_both_ways() {
    let digits = "-123456789012345678901234567890";
    let bench = Bench::new();
    let driver = bench.driver();
    let mut machine = bench.configured(&*driver);
    machine.create(&Notebook::default()).await.unwrap();
    let config = machine.config();
    drop(machine);
    let written = numbers::restore(serde_json::to_vec(&config).unwrap());
    let written = String::from_utf8(written).unwrap();
    assert!(
        written.contains(&format!("\"Larger\":{digits}")),
        "{written}"
    );

    let mut machine = driver.load(&bench.context(), config).unwrap();
    machine.stop().await.unwrap();
    let pid = *bench.pids().last().unwrap();
    let wire = fs::read(bench.path().join(format!("wire.{pid}"))).unwrap();
    let wire = String::from_utf8_lossy(&wire);
    assert!(wire.contains(&format!("\"Larger\":{digits}")), "{wire}");
    drop(machine);
    bench.no_process_is_left();
}

#[tokio::test]
async fn a_failed_creation_can_be_removed() {
    let bench = Bench::new();
    let driver = bench.driver();
    bench.misbehave("error:late");
    let mut machine = bench.configured(&*driver);
    let error = machine.create(&Notebook::default()).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "driver pytest refused Create: asked to fail in late"
    );
    assert_eq!(
        machine.config()["InstanceId"],
        "i-m1",
        "what was made is known"
    );
    let config = machine.config();
    drop(machine);
    bench.misbehave("");
    let mut machine = driver.load(&bench.context(), config).unwrap();
    machine.remove().await.unwrap();
    assert!(!bench.instance().exists());

    // One that made nothing has nothing to remove.
    bench.misbehave("error:Create");
    let mut nothing = bench.configured(&*driver);
    nothing.create(&Notebook::default()).await.unwrap_err();
    nothing.remove().await.unwrap();
    drop((machine, nothing));
    wait_until("both have ended", || {
        bench.calls(bench.pids()[3]).contains(&"Close".to_owned())
    });
    bench.no_process_is_left();
}
