//! The life of machines.

use std::process::Command;

use berth_tests_support::{Background, Operator, Outcome, wait_until};
use nix::sys::signal::Signal;

#[test]
fn machine_is_described_as_docker_machine_would() {
    let operator = Operator::new();
    let machine = operator.machine("demo");
    let ip = machine.ip();
    assert_eq!(
        operator.berth(&["machine", "url", "demo"]).success(),
        format!("tcp://{ip}:2376")
    );
    assert_eq!(
        operator.berth(&["machine", "status", "demo"]).success(),
        "Running"
    );
    assert_eq!(
        operator
            .berth(&[
                "machine",
                "inspect",
                "-f",
                "{{.Name}} {{.DriverName}}",
                "demo"
            ])
            .success(),
        "demo sandbox"
    );
    let ls = operator.berth(&["machine", "ls"]).success();
    let header = ls.lines().next().unwrap_or_default();
    assert!(
        header.starts_with("NAME") && header.contains("DOCKER"),
        "{ls}"
    );
    assert!(
        ls.contains("demo") && ls.contains("Running") && ls.contains(&ip),
        "{ls}"
    );

    let folder = machine.folder();
    let env = operator
        .berth(&["machine", "env", "--shell", "bash", "demo"])
        .success();
    let expected = format!(
        "export DOCKER_TLS_VERIFY=\"1\"\nexport DOCKER_HOST=\"tcp://{ip}:2376\"\nexport DOCKER_CERT_PATH=\"{}\"\nexport DOCKER_MACHINE_NAME=\"demo\"\n",
        folder.display()
    );
    assert!(env.starts_with(&expected), "{env}");
    for file in [
        "ca.pem",
        "cert.pem",
        "key.pem",
        "server.pem",
        "server-key.pem",
        "config.json",
    ] {
        let mode = Outcome::of(
            Command::new("stat")
                .args(["-c", "%a"])
                .arg(folder.join(file)),
        )
        .success();
        assert_eq!(mode, "600", "{file}");
    }
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    assert!(config.contains("\"ConfigVersion\": 3"));
}

#[test]
fn ssh_returns_what_the_remote_command_does() {
    let operator = Operator::new();
    let machine = operator.machine("demo");
    let ended = machine
        .ssh("echo out; echo err >&2; exit 23")
        .exits_with(23);
    assert_eq!((ended.stdout(), ended.stderr()), ("out\n", "err\n"));
    let mut piped = Background::start(&mut operator.command(&["machine", "ssh", "demo", "cat"]));
    std::io::Write::write_all(&mut piped.input().unwrap(), b"through").unwrap();
    assert_eq!(piped.outcome().success(), "through");
    let _ = operator
        .berth(&["machine", "ssh", "nobody", "true"])
        .exits_with(255)
        .fails_saying(&["nobody", "does not exist"]);
}

#[test]
fn stopped_machine_comes_back_with_its_data_and_its_engine() {
    let operator = Operator::new();
    let machine = operator.machine("demo");
    machine.import_busybox("box");
    machine
        .berth(&["run", "--name", "before", "box", "echo", "still here"])
        .success();
    operator.berth(&["machine", "stop", "demo"]).success();
    assert_eq!(
        operator.berth(&["machine", "status", "demo"]).success(),
        "Stopped"
    );
    let _ = machine.berth(&["ps"]).fails_saying(&["demo"]);
    operator.berth(&["machine", "start", "demo"]).success();
    assert_eq!(machine.berth(&["logs", "before"]).success(), "still here");
    machine.berth(&["run", "--rm", "box", "true"]).success();
    operator.berth(&["machine", "restart", "demo"]).success();
    machine.berth(&["run", "--rm", "box", "true"]).success();
    operator.berth(&["machine", "provision", "demo"]).success();
    assert_eq!(machine.berth(&["logs", "before"]).success(), "still here");
}

#[test]
fn changed_host_key_is_refused() {
    let operator = Operator::new();
    let machine = operator.machine("demo");
    machine
        .ssh("ssh-keygen -q -t ed25519 -N '' -f /tmp/other </dev/null")
        .success();
    // Whatever file sshd reads its key from, it is this kind of key.
    let replace = "for f in $(sshd -T 2>/dev/null | sed -n 's/^hostkey //p') $(ps ax -o args= | sed -n 's/.*sshd.* -h \\([^ ]*\\).*/\\1/p') $(ps ax -o args= | sed -n 's/.*sshd.* -f \\([^ ]*\\).*/\\1/p' | xargs -r sed -n 's/^HostKey //p'); do cp /tmp/other $f; done; kill -HUP $(pgrep -o -x sshd)";
    machine.ssh(replace).success();
    // Until it serves again, connections are refused for another reason.
    wait_until("the other key is noticed", || {
        let refused = machine.ssh("true");
        refused.code() != Some(0)
            && ["host key", "SHA256:"]
                .iter()
                .all(|word| refused.stderr().contains(word))
    });
    machine.berth(&["version"]).success();
}

#[test]
fn create_that_was_killed_can_be_repeated_and_removed() {
    let operator = Operator::new();
    // At ever later moments, until one create gets through.
    for delay_ms in [5, 20, 50, 100, 200, 400, 800] {
        let mut create = Background::start(&mut operator.command(&["machine", "create", "torn"]));
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        if !create.has_ended() {
            create.signal(Signal::SIGKILL);
        }
        let _ = create.outcome();
        if delay_ms % 100 == 0 {
            let again = operator.berth(&["machine", "create", "torn"]);
            if again.code() != Some(0) {
                let _ = again.fails_saying(&["already exists"]);
            }
            assert_eq!(
                operator.existing("torn").ssh("echo alive").success(),
                "alive"
            );
        }
        if operator.store().join("machines/torn").exists() {
            operator.berth(&["machine", "rm", "-y", "torn"]).success();
        }
        assert!(!operator.store().join("machines/torn").exists());
    }
    let _ = operator
        .berth(&["machine", "status", "torn"])
        .fails_saying(&["does not exist"]);
}

#[test]
fn removed_machine_leaves_no_trace_on_the_host() {
    let operator = Operator::new();
    let machine = operator.machine("gone");
    machine.import_busybox("box");
    machine
        .berth(&["run", "-d", "-p", "80:80", "box", "sleep", "600"])
        .success();
    let namespace = machine.ssh("readlink /proc/self/ns/net").success();
    let store = operator.store().display().to_string();
    operator.berth(&["machine", "rm", "-y", "gone"]).success();
    wait_until("its processes are gone", || {
        let links = Command::new("sh")
            .args(["-c", "readlink /proc/[0-9]*/ns/net"])
            .output()
            .unwrap();
        !String::from_utf8_lossy(&links.stdout).contains(&namespace)
    });
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&store), "no mount");
    assert!(
        !operator.store().join("machines/gone").exists(),
        "no folder"
    );
    let cgroups = Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-path", "*gone*"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&cgroups.stdout),
        "",
        "no control group"
    );
}

#[test]
fn generic_driver_adopts_any_ssh_host() {
    let operator = Operator::new();
    let host = operator.machine("host");
    let other = Operator::new();
    let key = operator.store().join("machines/host");
    let key = std::fs::read_dir(key)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name().is_some_and(|name| {
                name.to_string_lossy().starts_with("id_")
                    && !name.to_string_lossy().ends_with(".pub")
            })
        })
        .expect("the machine's private key");
    host.ssh("pkill -f '[b]erthd watch'; pkill -f '[b]erthd serve'; rm -rf /etc/berth /usr/local/bin/berthd; true").success();
    let words = [
        "machine",
        "create",
        "-d",
        "generic",
        "--generic-ip-address",
        &host.ip(),
        "--generic-ssh-user",
        "root",
        "--generic-ssh-key",
        &key.display().to_string(),
        "--generic-engine-port",
        "3000",
        "adopted",
    ];
    other.berth(&words).success();
    let adopted = other.existing("adopted");
    adopted.import_busybox("box");
    assert_eq!(
        adopted
            .berth(&["run", "--rm", "box", "echo", "aboard"])
            .success(),
        "aboard"
    );
    assert_eq!(
        other.berth(&["machine", "url", "adopted"]).success(),
        format!("tcp://{}:3000", host.ip())
    );
    other.berth(&["machine", "rm", "-y", "adopted"]).success();
    assert_eq!(host.ssh("echo the host stays").success(), "the host stays");
}
