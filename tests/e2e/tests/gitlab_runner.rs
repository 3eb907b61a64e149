//! What GitLab Runner's docker+machine executor does with `docker-machine`: the words that it
//! types, the files that it reads, and its clean-up when something was cut off.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use berth_tests_support::{Background, Operator, Outcome, berth_program, traces, wait_until};
use nix::sys::signal::Signal;

/// The option that the executor puts before every command.
const NO_REPORT: &str = "--bugsnag-api-token=no-report";
/// A name as the executor makes them: token, template, time and a random number.
const NAME: &str = "runner-hgxylz9q-auto-1700000000-1a2b3c4d";

/// The executor, with a folder in its `PATH` that has `docker-machine` in it.
struct Executor {
    operator: Operator,
    program: PathBuf,
}

impl Executor {
    fn new() -> Self {
        let operator = Operator::new();
        let program = operator.home().join("docker-machine");
        let linked = symlink(berth_program(), &program);
        assert!(linked.is_ok(), "{linked:?}");
        Self { operator, program }
    }

    fn command(&self, words: &[&str]) -> Command {
        let berth = self.operator.command(&[]);
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .envs(
                berth
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .arg(NO_REPORT)
            .args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(words))
    }

    fn create(&self) -> Background {
        // `--OPT` for each of MachineOptions, with and without a value.
        Background::start(&mut self.command(&[
            "create",
            "--driver",
            "sandbox",
            "--sandbox-memory=512m",
            "--engine-registry-mirror=https://mirror.example",
            "--engine-label=ci=yes",
            NAME,
        ]))
    }

    fn folder(&self) -> PathBuf {
        self.operator.store().join("machines").join(NAME)
    }

    fn config_exists(&self) -> bool {
        self.folder().join("config.json").exists()
    }

    /// Says whether the journal has a step, and the record what the executor reads.
    fn has_come_to(&self, step: &str) -> bool {
        let journal = std::fs::read_to_string(self.folder().join("berth.json"));
        let step = format!("\"step\": \"{step}\"");
        self.config_exists() && journal.is_ok_and(|text| text.contains(&step))
    }

    /// `Exist`: the file, then the command.
    fn exists(&self) -> bool {
        self.config_exists() && self.run(&["inspect", NAME]).code() == Some(0)
    }

    /// `List`, which is no command.
    fn list(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.operator.store().join("machines"));
        entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect()
    }

    /// `Credentials`: the answers must not be empty.
    fn credentials(&self) -> (PathBuf, String) {
        let store = [
            "inspect",
            NAME,
            "-f",
            "{{.HostOptions.AuthOptions.StorePath}}",
        ];
        let config = self.run(&["config", NAME]).success();
        let url = self.run(&["url", NAME]).success();
        let path = self.run(&store).success();
        assert!(!config.trim().is_empty() && !url.trim().is_empty());
        (path.trim().into(), url.trim().to_owned())
    }
}

#[test]
fn runner_makes_uses_and_removes_a_machine() {
    let executor = Executor::new();
    let create = executor.create();
    // The executor and its metrics read the store while create runs.
    wait_until("the record is there", || executor.config_exists());
    let text = std::fs::read_to_string(executor.folder().join("config.json")).unwrap();
    assert!(text.contains("\"DriverName\": \"sandbox\""), "{text}");
    let early = executor.run(&["inspect", NAME]);
    assert_eq!(early.code(), Some(0), "{early:?}");
    create.outcome().success();
    assert_eq!(executor.list(), [NAME]);
    assert!(executor.exists());

    let connects = executor.run(&["config", NAME]);
    assert_eq!(connects.code(), Some(0), "{connects:?}");
    let (certificates, url) = executor.credentials();
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        assert!(certificates.join(file).is_file(), "{file}");
    }
    let ip = executor.run(&["ip", NAME]).success();
    assert_eq!(url, format!("tcp://{}:2376", ip.trim()));
    assert_eq!(executor.run(&["status", NAME]).success(), "Running");
    // The executor's docker client would speak to that address with those files.
    let curl = [
        "-sS",
        "--fail-with-body",
        "-o",
        "/dev/null",
        "-w",
        "%{http_version}",
    ];
    let file = |name: &str| certificates.join(name).display().to_string();
    let spoken = Outcome::of(
        Command::new("curl")
            .args(curl)
            .args(["--cacert", &file("ca.pem"), "--cert", &file("cert.pem")])
            .args(["--key", &file("key.pem")])
            .arg(url.replace("tcp://", "https://") + "/_ping"),
    );
    // Whatever it answers there, TLS has let it in.
    assert!(
        !spoken.stderr().to_lowercase().contains("ssl")
            && !spoken.stderr().to_lowercase().contains("certificate"),
        "{spoken:?}"
    );

    executor.run(&["stop", NAME]).success();
    assert_eq!(executor.run(&["status", NAME]).success(), "Stopped");
    assert_ne!(executor.run(&["config", NAME]).code(), Some(0));
    executor.run(&["rm", "-y", NAME]).success();
    assert!(!executor.exists());
    assert_eq!(executor.list(), [""; 0]);
    assert_eq!(traces(&executor.folder()), BTreeSet::new());
    // Giving up, and the drain at the end, also when it is gone.
    executor.run(&["rm", "-f", NAME]).success();
    assert_ne!(executor.run(&["rm", "-y", NAME]).code(), Some(0));
}

#[test]
fn runner_cleans_up_after_a_create_that_it_has_killed() {
    for (step, force) in [("provision", true), ("boot", false)] {
        let executor = Executor::new();
        let mut create = executor.create();
        wait_until("it has come so far", || {
            create.has_ended() || executor.has_come_to(step)
        });
        assert!(!create.has_ended(), "{:?}", create.outcome());
        // After its hour.
        create.signal(Signal::SIGKILL);
        let _killed = create.outcome();
        assert!(executor.exists(), "what there is, is on record");
        assert_ne!(executor.run(&["config", NAME]).code(), Some(0));
        // It stops what it can, and only warns when that fails.
        let _stopped = executor.run(&["stop", NAME]);
        let rm = if force { "-f" } else { "-y" };
        executor.run(&["rm", rm, NAME]).success();
        assert!(!executor.exists());
        assert_eq!(traces(&executor.folder()), BTreeSet::new());
    }
}

#[test]
fn old_runner_provisions_again_after_a_failed_create() {
    let executor = Executor::new();
    let mut create = executor.create();
    wait_until("it has come to the agent", || {
        create.has_ended() || executor.has_come_to("provision")
    });
    assert!(!create.has_ended(), "{:?}", create.outcome());
    create.signal(Signal::SIGKILL);
    let _killed = create.outcome();
    executor.run(&["provision", NAME]).success();
    executor.run(&["config", NAME]).success();
    executor.run(&["rm", "-y", NAME]).success();
    assert_eq!(traces(&executor.folder()), BTreeSet::new());
}
