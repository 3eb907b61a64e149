//! Plugins that hang, die, talk nonsense or do not let go: a clear error in time, and no process.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_provisioners_api::MachineState;
use support::{Bench, HELPER, Notebook, chain, is_alive, wait_until};

/// What a plugin does when it is asked for its flags, and what the operator is told.
const TROUBLES: [(&str, &[&str]); 12] = [
    (
        "exit",
        &[
            "plugin pytest failed in its start",
            "exit status: 3",
            "no license",
        ],
    ),
    (
        "http",
        &[
            "plugin pytest cannot be spoken to at 127.0.0.1:",
            "404 Not Found",
        ],
    ),
    (
        "version",
        &["plugin pytest: Driver binary uses an incompatible API version (2)"],
    ),
    (
        "die:GetCreateFlags",
        &[
            "pytest failed in GetCreateFlags",
            "exit status: 7",
            "about to die",
        ],
    ),
    (
        "kill:GetCreateFlags",
        &["pytest failed in GetCreateFlags", "signal: 9"],
    ),
    (
        "garbage:GetCreateFlags",
        &["pytest failed in GetCreateFlags", "garbage on the wire"],
    ),
    (
        "huge:GetCreateFlags",
        &["pytest failed in GetCreateFlags", "16777216 bytes"],
    ),
    (
        "error:GetCreateFlags",
        &["pytest refused GetCreateFlags: asked to fail"],
    ),
    ("error:SetConfigRaw", &["pytest refused SetConfigRaw"]),
    ("die:SetConfigRaw", &["pytest failed in SetConfigRaw"]),
    (
        "oddflags",
        &["answered GetCreateFlags with a flag --driver, which create has itself"],
    ),
    (
        "garbage:GetVersion",
        &["pytest failed in GetVersion", "garbage on the wire"],
    ),
];

#[test]
fn troubles_are_told_by_name_and_leave_no_process() {
    std::thread::scope(|scope| {
        for (trouble, told) in TROUBLES {
            scope.spawn(move || is_told(trouble, told));
        }
    });
}

fn is_told(trouble: &str, told: &[&str]) {
    let bench = Bench::new();
    bench.misbehave(trouble);
    let begin = Instant::now();
    let error = bench.driver().flags().unwrap_err();
    let took = begin.elapsed();
    let text = chain(&error);
    for part in told {
        assert!(
            text.contains(part),
            "{trouble}: {part:?} is not in {text:?}"
        );
    }
    assert!(took < Duration::from_secs(10), "{trouble} took {took:?}");
    assert_eq!(bench.pids().len(), 1, "{trouble}");
    bench.no_process_is_left();
}

#[test]
fn plugins_that_hang_are_not_waited_for() {
    let cases = [
        ("silent", "did not print its address within 2 s"),
        (
            "noaddress",
            "printed \"Welcome to my plugin!\" instead of its address",
        ),
        (
            "hang:GetCreateFlags",
            "did not answer GetCreateFlags within 2 s",
        ),
        (
            "stubborn,hang:GetCreateFlags",
            "did not answer GetCreateFlags within 2 s",
        ),
    ];
    std::thread::scope(|scope| {
        for (trouble, told) in cases {
            scope.spawn(move || is_given_up(trouble, told));
        }
    });
}

fn is_given_up(trouble: &str, told: &str) {
    let bench = Bench::new();
    bench.misbehave(trouble);
    let driver = bench.driver_with(|deadlines| {
        if trouble == "silent" {
            deadlines.start = Duration::from_secs(2);
        }
        deadlines.fact = Duration::from_secs(2);
        deadlines.close = Duration::from_millis(300);
    });
    let begin = Instant::now();
    let error = driver.flags().unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("plugin pytest") && text.contains(told),
        "{text}"
    );
    assert!(error.hint().is_some(), "{trouble}");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    bench.no_process_is_left();
}

#[tokio::test]
async fn a_plugin_that_dies_in_create_is_told_with_what_to_do() {
    let bench = Bench::new();
    bench.misbehave("kill:Create");
    let driver = bench.driver();
    let mut machine = bench.configured(&*driver);
    let error = machine.create(&Notebook::default()).await.unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("plugin pytest failed in Create: it ended (signal: 9"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("berth machine rm"));
    // The next call has a process of its own.
    bench.misbehave("");
    assert_eq!(machine.state().await.unwrap(), MachineState::NotFound);
    drop(machine);
    bench.no_process_is_left();
}

#[tokio::test]
async fn a_plugin_without_heartbeats_is_given_up() {
    let bench = Bench::new();
    bench.misbehave("deaf,hang:Create,stubborn");
    let driver = bench.driver_with(|deadlines| {
        deadlines.heartbeat = Duration::from_millis(500);
        deadlines.close = Duration::from_millis(300);
    });
    let mut machine = bench.configured(&*driver);
    let error = machine.create(&Notebook::default()).await.unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("failed in Create: it answered no heartbeat within 0.5 s"),
        "{text}"
    );
    drop(machine);
    bench.no_process_is_left();
}

#[tokio::test]
async fn work_has_a_deadline_of_its_own() {
    let bench = Bench::new();
    bench.misbehave("hang:Create");
    let driver = bench.driver_with(|deadlines| deadlines.work = Duration::from_secs(1));
    let mut machine = bench.configured(&*driver);
    let error = machine.create(&Notebook::default()).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "plugin pytest did not answer Create within 1 s"
    );
    assert!(error.hint().unwrap().contains("BERTH_PLUGIN_TIMEOUT"));
    drop(machine);
    bench.no_process_is_left();
}

#[test]
fn a_killed_program_takes_its_plugins_along() {
    let bench = Bench::new();
    bench.misbehave("hang:GetCreateFlags,stubborn");
    let mut program = Command::new(HELPER)
        .arg("hold")
        .arg(bench.path().join("bin"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the plugin was asked", || {
        bench.record("calls").contains("GetCreateFlags")
    });
    let pid = bench.pids()[0];
    assert!(is_alive(pid));
    program.kill().unwrap();
    program.wait().unwrap();
    bench.no_process_is_left();
}

#[test]
fn programs_end_their_plugins_before_themselves() {
    let bench = Bench::new();
    let status = Command::new(HELPER)
        .arg("use")
        .arg(bench.path().join("bin"))
        .status()
        .unwrap();
    assert!(status.success());
    let pid = bench.pids()[0];
    assert!(!is_alive(pid), "it had ended when the program ended");
    assert_eq!(bench.calls(pid).last().map(String::as_str), Some("Close"));
}
