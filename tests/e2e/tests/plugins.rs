//! Drivers in executables of their own: a plugin in Python driven by berth, and berth's own driver
//! served to a client in Python.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use berth_tests_support::{Background, Machine, Operator, Outcome, berth_program, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures");

/// The variable in which the plugin's token is, and the token.
const SECRET: (&str, &str) = ("BERTH_TEST_PLUGIN_TOKEN", "open-sesame-2026");

/// An operator who has the plugin `pytest`.
struct Bench {
    operator: Operator,
}

// === impl Bench ===

impl Bench {
    fn new() -> Self {
        let operator = Operator::new();
        let bench = Self { operator };
        std::fs::create_dir(bench.home().join("bin")).unwrap();
        let plugin = bench.home().join("bin/docker-machine-driver-pytest");
        let script = format!(
            "#!/bin/sh\nPLUGIN_DIR='{}' exec python3 -B '{FIXTURES}/plugin.py'\n",
            bench.home().display()
        );
        std::fs::write(&plugin, script).unwrap();
        std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
        bench
    }

    fn home(&self) -> &Path {
        self.operator.home()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.operator.command(words);
        let folders = format!(
            "{}:/usr/sbin:/usr/bin:/sbin:/bin",
            self.home().join("bin").display()
        );
        command.env("PATH", folders).env(SECRET.0, SECRET.1);
        command
    }

    fn berth(&self, words: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(words))
    }

    fn misbehave(&self, what: &str) {
        std::fs::write(self.home().join("misbehave"), what).unwrap();
    }

    fn record(&self, name: &str) -> String {
        std::fs::read_to_string(self.home().join(name)).unwrap_or_default()
    }

    fn pids(&self) -> Vec<u32> {
        let starts = self.record("starts");
        starts.lines().map(|line| line.parse().unwrap()).collect()
    }

    fn instance(&self) -> PathBuf {
        self.home().join("cloud/i-m1")
    }

    fn no_process_is_left(&self) {
        for pid in self.pids() {
            wait_until(&format!("plugin {pid} has ended"), || {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
                stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
            });
        }
    }
}

/// Makes `m1` by the plugin, on a host that is there already.
fn create(bench: &Bench, host: &Machine<'_>) -> Outcome {
    let key = host.folder().join("id_ed25519");
    bench.berth(&[
        "machine",
        "create",
        "-d",
        "pytest",
        "--pytest-address",
        &host.ip(),
        "--pytest-ssh-key",
        &key.to_string_lossy(),
        "--pytest-token",
        &format!("env:{}", SECRET.0),
        "--engine-label",
        "kind=plugged",
        "m1",
    ])
}

#[test]
fn machine_of_a_plugin_is_like_any_other() {
    let bench = Bench::new();
    let host = bench.operator.machine("host");
    let said = create(&bench, &host).exits_with(0);
    let lines = format!("{}{}", said.stdout(), said.stderr());
    assert!(lines.contains("Making instance of m1"), "{lines}");
    assert!(
        bench
            .record("options")
            .contains("\"engine-label\": [\"kind=plugged\"]")
    );
    bench.no_process_is_left();

    // What is known needs no process.
    let n_started = bench.pids().len();
    let ip = host.ip();
    assert_eq!(bench.berth(&["machine", "ls", "-q"]).success(), "host\nm1");
    assert_eq!(
        bench.berth(&["machine", "url", "m1"]).success(),
        format!("tcp://{ip}:2376")
    );
    assert_eq!(bench.berth(&["machine", "ip", "m1"]).success(), ip);
    let words = [
        "machine",
        "inspect",
        "-f",
        "{{.DriverName}} {{.Driver.Large}}",
        "m1",
    ];
    assert_eq!(bench.berth(&words).success(), "pytest 12345678901234567890");
    let env = bench.berth(&["machine", "env", "m1"]).success();
    assert!(
        env.contains(&format!("DOCKER_HOST=\"tcp://{ip}:2376\"")),
        "{env}"
    );
    assert_eq!(
        bench
            .berth(&["machine", "ssh", "m1", "echo", "in"])
            .success(),
        "in"
    );
    bench.berth(&["--machine", "m1", "ps"]).success();
    assert_eq!(bench.pids().len(), n_started, "no process was started");

    let ls = bench
        .berth(&["machine", "ls", "--filter", "driver=pytest"])
        .success();
    assert!(
        ls.contains("m1") && ls.contains("Running") && ls.contains("pytest"),
        "{ls}"
    );
    bench.berth(&["machine", "stop", "m1"]).success();
    assert_eq!(
        bench.berth(&["machine", "status", "m1"]).success(),
        "Stopped"
    );
    bench.misbehave("tell:Start,tell:GetState");
    let started = bench
        .berth(&["--debug", "machine", "start", "m1"])
        .exits_with(0);
    bench.misbehave("");
    let told = started.stderr();
    assert!(
        told.contains("(m1) My token is env:BERTH_TEST_PLUGIN_TOKEN"),
        "{told}"
    );
    assert!(!told.contains(SECRET.1), "{told}");
    assert!(
        started.stderr().contains("(m1) Starting instance"),
        "{}",
        started.stderr()
    );
    assert!(bench.pids().len() > n_started);
    bench.berth(&["machine", "rm", "-y", "m1"]).success();
    assert!(!bench.instance().exists());
    assert_eq!(bench.berth(&["machine", "ls", "-q"]).success(), "host");
    bench.no_process_is_left();
}

#[test]
fn flags_of_a_plugin_are_in_the_help() {
    let bench = Bench::new();
    let help = bench
        .berth(&["machine", "create", "--help", "-d", "pytest"])
        .success();
    assert!(help.contains("--pytest-ssh-port <VALUE>"), "{help}");
    assert!(help.contains("[$PYTEST_ADDRESS]"), "{help}");
    bench.no_process_is_left();
    let _ = bench
        .berth(&["machine", "create", "-d", "nowhere", "m1"])
        .fails_saying(&[
            "driver \"nowhere\" not found",
            "docker-machine-driver-nowhere",
        ]);
    bench.misbehave("noaddress");
    let _ = bench
        .berth(&["machine", "create", "-d", "pytest", "m1"])
        .fails_saying(&["plugin pytest printed \"Welcome to my plugin!\" instead of its address"]);
    bench.no_process_is_left();
    assert!(!bench.operator.store().join("machines/m1").exists());
}

/// Begins to make `m1`, and returns once the plugin has made an instance and hangs.
fn hanging(bench: &Bench) -> Background {
    bench.misbehave("hang:late");
    let create =
        Background::start(&mut bench.command(&["machine", "create", "-d", "pytest", "m1"]));
    let record = bench.operator.store().join("machines/m1/config.json");
    wait_until("the instance is on record", || {
        std::fs::read_to_string(&record).is_ok_and(|text| text.contains("\"InstanceId\": \"i-m1\""))
    });
    assert!(bench.instance().exists());
    create
}

#[test]
fn creations_that_end_badly_leave_nothing_behind() {
    for how in [None, Some(Signal::SIGKILL), Some(Signal::SIGINT)] {
        let bench = Bench::new();
        match how {
            None => {
                bench.misbehave("error:late");
                let _ = bench
                    .berth(&["machine", "create", "-d", "pytest", "m1"])
                    .fails_saying(&["driver pytest refused Create: asked to fail in late"]);
            }
            Some(signal) => {
                let create = hanging(&bench);
                create.signal(signal);
                assert_ne!(create.outcome().code(), Some(0));
            }
        }
        bench.no_process_is_left();
        bench.misbehave("");
        bench.berth(&["machine", "rm", "-y", "m1"]).success();
        assert!(!bench.instance().exists(), "after {how:?}");
        assert_eq!(bench.berth(&["machine", "ls", "-q"]).success(), "");
        bench.no_process_is_left();
    }
}

#[test]
fn a_plugin_that_hangs_before_anything_is_made_holds_up_nobody() {
    let bench = Bench::new();
    bench.misbehave("hang:SetConfigFromFlags");
    let create =
        Background::start(&mut bench.command(&["machine", "create", "-d", "pytest", "m1", "m2"]));
    wait_until("both machines are being configured", || {
        bench.record("calls").matches("SetConfigFromFlags").count() == 2
    });
    let began = Instant::now();
    create.signal(Signal::SIGINT);
    assert_eq!(create.outcome().code(), Some(130));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    bench.no_process_is_left();
    assert_eq!(bench.berth(&["machine", "ls", "-q"]).success(), "");
}

#[test]
fn what_is_left_at_a_provider_is_told_by_its_names() {
    let bench = Bench::new();
    bench.misbehave("error:late");
    let _ = bench
        .berth(&["machine", "create", "-d", "pytest", "m1"])
        .fails_saying(&["asked to fail in late"]);
    bench.misbehave("error:Remove");
    let removed = bench
        .berth(&["machine", "rm", "-f", "-y", "m1"])
        .exits_with(0);
    let told = removed.stderr();
    assert!(told.contains("driver pytest makes its machines"), "{told}");
    assert!(told.contains("InstanceId i-m1"), "{told}");
    assert!(!told.contains("orphans"), "they would not be found: {told}");
    bench.no_process_is_left();
}

#[test]
fn sandbox_is_served_to_docker_machine() {
    let operator = Operator::new();
    let plugin = operator.home().join("docker-machine-driver-sandbox");
    symlink(berth_program(), &plugin).unwrap();
    let machine = operator.store().join("machines/t1");
    std::fs::create_dir_all(&machine).unwrap();
    let base = json!({"IPAddress": "", "MachineName": "t1", "StorePath": operator.store()});
    let call = |name: &str| json!([format!("RPCServerDriver.{name}"), null]);
    let set = |config: &Value| json!(["RPCServerDriver.SetConfigRaw", {"json": config}]);
    let drive = |calls: Value| {
        let output = Command::new("python3")
            .args(["-B", &format!("{FIXTURES}/plugin_client.py")])
            .arg(&plugin)
            .arg(calls.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            !report["results"].to_string().contains("\"error\""),
            "{report}"
        );
        report["results"].clone()
    };
    let options = json!({"options": {"swarm-master": false}});
    let made = drive(json!([
        call("GetVersion"),
        set(&base),
        ["RPCServerDriver.SetConfigFromFlags", options],
        call("PreCreateCheck"),
        call("Create"),
        call("GetState"),
        call("GetURL"),
        call("GetSSHPort"),
        call("GetConfigRaw"),
        call("Close"),
    ]));
    assert_eq!(
        (&made[5]["value"], &made[7]["value"]),
        (&json!(1), &json!(22))
    );
    let url = made[6]["value"].as_str().unwrap();
    assert!(url.starts_with("tcp://") && url.ends_with(":2376"), "{url}");
    // The machine outlives its plugin; another process finds and removes it.
    let removed = drive(json!([
        set(&made[8]["value"]),
        call("GetState"),
        call("Kill"),
        call("Remove"),
        call("GetState"),
        call("Close"),
    ]));
    assert_eq!(
        (&removed[1]["value"], &removed[4]["value"]),
        (&json!(1), &json!(0))
    );
}
