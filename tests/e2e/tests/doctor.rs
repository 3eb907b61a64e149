//! Everything that can be wrong on the way to an agent, broken for real.

use std::process::Command;

use berth_tests_support::{Machine, Operator, kill, make_key, wait_until};
use nix::sys::signal::Signal;

/// Asks the doctor, and returns its answer as one line per check, with its exit code.
fn doctor(operator: &Operator, name: &str) -> (Option<i32>, String) {
    let outcome = operator.berth(&["machine", "doctor", name]);
    (outcome.code(), outcome.stdout().to_owned())
}

#[track_caller]
fn expect(operator: &Operator, health: &str, check: &str, said: &str) {
    let (code, text) = doctor(operator, "m");
    let found = text
        .lines()
        .any(|line| line.starts_with(health) && line.split_whitespace().nth(1) == Some(check));
    assert!(
        found && text.contains(said),
        "{health} {check} {said}:\n{text}"
    );
    assert_eq!(code, Some(i32::from(health == "FAIL")), "{text}");
}

/// Runs a line of shell in the machine, not by way of its ssh server.
fn inside(pid: u32, line: &str) {
    let status = Command::new("nsenter")
        .args(["--net", "--mount", "--pid", "--target"])
        .arg(pid.to_string())
        .args(["--", "sh", "-c", line])
        .status()
        .expect("nsenter");
    assert!(status.success(), "{line}");
}

/// Changes a text in one of the machine's files in the store, and returns what it was.
fn edit(machine: &Machine<'_>, file: &str, change: impl FnOnce(&str) -> String) -> String {
    let path = machine.folder().join(file);
    let before = std::fs::read_to_string(&path).expect("file in the store");
    std::fs::write(&path, change(&before)).expect("file in the store");
    before
}

fn everything_is_looked_at(operator: &Operator) {
    let (code, text) = doctor(operator, "m");
    assert_eq!(code, Some(0), "{text}");
    for check in [
        "state",
        "dns",
        "ssh-port",
        "host-key",
        "ssh-login",
        "clock",
        "disk",
        "cgroups",
        "kernel",
        "agent",
        "engine-port",
        "tls",
        "client-certificate",
        "answer",
    ] {
        let has = text
            .lines()
            .any(|line| line.split_whitespace().nth(1) == Some(check));
        assert!(has, "no {check} in {text}");
    }
    let json = operator
        .berth(&["machine", "doctor", "--format", "json", "m"])
        .success();
    assert!(
        json.contains("\"health\": \"ok\"") || json.contains("\"health\": \"warn\""),
        "{json}"
    );
}

#[test]
fn what_is_broken_is_named_with_what_to_do() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    everything_is_looked_at(&operator);

    let pid = machine.agent_pid();
    // A firewall that says nothing: everything goes through ssh.
    inside(
        pid,
        "nft add table inet doctor && nft add chain inet doctor in '{ type filter hook input priority 0; }' \
                 && nft add rule inet doctor in tcp dport 2376 iif != lo drop",
    );
    expect(
        &operator,
        "warn",
        "engine-port",
        "though the agent listens there",
    );
    let seen = machine.berth(&["ps"]).exits_with(0);
    assert_eq!(
        seen.stderr().matches("going through ssh").count(),
        1,
        "{}",
        seen.stderr()
    );
    inside(pid, "nft add rule inet doctor in tcp dport 22 drop");
    expect(&operator, "FAIL", "ssh-port", "does not answer within");
    inside(pid, "nft delete table inet doctor");

    inside(
        pid,
        "mount -t tmpfs -o size=4m none /etc/berth.d 2>/dev/null || mkdir /etc/berth.d; \
                 mount -t tmpfs -o size=4m none /var/lib/berth",
    );
    expect(&operator, "FAIL", "disk", "/var/lib/berth has 4.2 MB free");
    inside(pid, "umount /var/lib/berth");

    inside(
        pid,
        "printf '#!/bin/sh\\nexec /bin/date -d @1600000000 \"$@\"\\n' >/usr/local/bin/date \
                 && chmod 755 /usr/local/bin/date",
    );
    expect(&operator, "FAIL", "clock", "behind this computer's");
    inside(pid, "rm /usr/local/bin/date");

    let key = operator.home().join("other");
    make_key(&key);
    let other = std::fs::read_to_string(key.with_extension("pub")).expect("key");
    let other: Vec<&str> = other.split_whitespace().take(2).collect();
    let before = edit(&machine, "berth.json", |text| {
        let start = text.find("ssh-ed25519 ").expect("a pinned key");
        let end = start + text[start..].find('"').expect("its end");
        format!("{}{}{}", &text[..start], other.join(" "), &text[end..])
    });
    expect(&operator, "FAIL", "host-key", "has changed");
    edit(&machine, "berth.json", |_| before);

    let before = edit(&machine, "id_ed25519", |_| {
        std::fs::read_to_string(&key).expect("key")
    });
    expect(&operator, "FAIL", "ssh-login", "refused to log in");
    edit(&machine, "id_ed25519", |_| before);

    // A certificate that is over, and one of somebody else's.
    let before = edit(&machine, "cert.pem", |_| expired(&operator));
    expect(&operator, "FAIL", "client-certificate", "expired");
    edit(&machine, "cert.pem", |_| before);
    let before = edit(&machine, "ca.pem", |_| stranger(&operator));
    expect(&operator, "FAIL", "tls", "signed by another authority");
    edit(&machine, "ca.pem", |_| before);

    let watcher = machine.ssh("cat /run/berth/watch.pid").success();
    machine.ssh(&format!("kill -KILL {watcher}")).success();
    kill(pid, Signal::SIGKILL);
    wait_until("the agent is gone", || {
        !std::path::Path::new(&format!("/proc/{pid}/root/proc")).exists()
    });
    expect(&operator, "FAIL", "agent", "berth machine provision m");
    operator.berth(&["machine", "provision", "m"]).success();
    let (code, text) = doctor(&operator, "m");
    assert_eq!(code, Some(0), "{text}");

    operator.berth(&["machine", "stop", "m"]).success();
    expect(&operator, "FAIL", "state", "berth machine start m");
}

#[test]
fn names_that_nobody_knows_are_told() {
    let operator = Operator::new();
    let machine = operator.machine("host");
    let key = machine.folder().join("id_ed25519");
    let words = [
        "machine",
        "create",
        "-d",
        "generic",
        "--generic-ip-address",
        &machine.ip(),
        "--generic-ssh-key",
        &key.to_string_lossy(),
        "m",
    ];
    operator.berth(&words).success();
    let far = operator.existing("m");
    edit(&far, "config.json", |text| {
        text.replace(&machine.ip(), "no-such-host.invalid")
    });
    expect(
        &operator,
        "FAIL",
        "dns",
        "no-such-host.invalid cannot be resolved",
    );
}

/// Runs openssl in the operator's home.
fn openssl(operator: &Operator, words: &[&str]) {
    let output = Command::new("openssl")
        .args(words)
        .current_dir(operator.home())
        .output()
        .expect("openssl");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {said}");
}

/// Returns a certificate of the operator's authority that ended yesterday.
fn expired(operator: &Operator) -> String {
    let certs = operator.store().join("certs");
    let (ca, ca_key) = (certs.join("ca.pem"), certs.join("ca-key.pem"));
    openssl(
        operator,
        &[
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            "k",
        ],
    );
    openssl(
        operator,
        &["req", "-new", "-key", "k", "-subj", "/O=old", "-out", "r"],
    );
    let (ca, ca_key) = (ca.to_string_lossy(), ca_key.to_string_lossy());
    openssl(
        operator,
        &[
            "x509",
            "-req",
            "-in",
            "r",
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-days",
            "-1",
            "-set_serial",
            "7",
            "-out",
            "old.pem",
        ],
    );
    std::fs::read_to_string(operator.home().join("old.pem")).expect("certificate")
}

/// Returns the certificate of another authority.
fn stranger(operator: &Operator) -> String {
    openssl(
        operator,
        &[
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            "k",
        ],
    );
    openssl(
        operator,
        &[
            "req", "-x509", "-new", "-key", "k", "-subj", "/O=me", "-days", "9", "-out", "s.pem",
        ],
    );
    std::fs::read_to_string(operator.home().join("s.pem")).expect("certificate")
}
