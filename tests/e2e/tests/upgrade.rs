//! Agents that are replaced while containers run, and agents that are no good.

use std::path::{Path, PathBuf};
use std::process::Command;

use berth_tests_support::{Machine, Operator, Outcome, agent_program, systemd_root, wait_until};
use nix::sys::signal::Signal;

/// An agent that is no good, in the way that it was compiled for.
const BAD: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "version") == 0) { puts("berthd"); return 0; }
#ifdef EXITS
    fputs("berthd: I am no good\n", stderr);
    return 1;
#endif
#ifdef DEAF
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--ready-fd") == 0) write(atoi(argv[i + 1]), "ready\n", 6);
    close(3);
    if (fork()) return 0;
    for (;;) pause();
#endif
#ifdef FORMER
    execv("/usr/local/bin/.berthd-previous", argv);
    return 1;
#endif
}
"#;

/// Compiles an agent that is no good.
fn bad_agent(operator: &Operator, kind: &str) -> PathBuf {
    let source = operator.home().join("bad.c");
    let program = operator.home().join(format!("berthd-{kind}"));
    std::fs::write(&source, BAD).expect("source");
    let compiled = Command::new("cc")
        .arg(format!("-D{kind}"))
        .args(["-static", "-w", "-o"])
        .args([&program, &source])
        .status()
        .expect("cc");
    assert!(compiled.success(), "cc failed");
    program
}

/// Returns the agent with another digest: what follows a program's end does not change it.
fn another_build(operator: &Operator) -> PathBuf {
    let program = operator.home().join("berthd-next");
    let mut content = std::fs::read(agent_program()).expect("agent");
    content.extend_from_slice(b"another build");
    std::fs::write(&program, content).expect("another agent");
    program
}

fn upgrade(operator: &Operator, agent: &Path, name: &str) -> Outcome {
    let mut command = operator.command(&["machine", "upgrade", name]);
    Outcome::of(command.env("BERTH_AGENT", agent))
}

/// Starts a container that counts, and returns its process and when it was started.
fn count(machine: &Machine<'_>) -> String {
    machine.import_busybox("box");
    let script = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done";
    machine
        .berth(&["run", "-d", "--name", "counts", "box", "sh", "-c", script])
        .success();
    counting(machine)
}

fn counting(machine: &Machine<'_>) -> String {
    let format = "{{.State.Running}} {{.State.Pid}} {{.State.StartedAt}}";
    let state = machine
        .berth(&["inspect", "-f", format, "counts"])
        .success();
    assert!(state.starts_with("true "), "{state}");
    state
}

fn digest(machine: &Machine<'_>) -> String {
    machine
        .ssh("sha256sum </usr/local/bin/berthd")
        .success()
        .trim_end_matches([' ', '-'])
        .to_owned()
}

fn expect_nothing_left(machine: &Machine<'_>) {
    let left = "ls -A /etc/berth /usr/local/bin | grep -e previous -e '^[.]' || :";
    assert_eq!(machine.ssh(left).success(), "");
}

#[test]
fn containers_do_not_notice_an_upgrade() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let before = count(&machine);
    let first = digest(&machine);
    let next = another_build(&operator);
    let told = upgrade(&operator, &next, "m").success();
    assert!(told.contains("Machine \"m\" was upgraded"), "{told}");
    assert_ne!(digest(&machine), first);
    assert_eq!(counting(&machine), before);
    let numbers = machine.berth(&["logs", "counts"]).success();
    let in_order = |(n, line): (usize, &str)| line == n.to_string();
    assert!(numbers.lines().enumerate().all(in_order), "{numbers}");
    machine.berth(&["exec", "counts", "true"]).success();
    expect_nothing_left(&machine);
    let pid = machine.agent_pid();
    let told = upgrade(&operator, &next, "m").success();
    assert!(told.contains("has this agent already"), "{told}");
    assert_eq!(machine.agent_pid(), pid);
}

#[test]
fn agents_that_are_no_good_are_taken_back() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let before = count(&machine);
    let good = digest(&machine);
    for (kind, said) in [
        ("EXITS", "I am no good"),
        ("DEAF", "does not answer"),
        ("FORMER", "another version of the agent is still running"),
    ] {
        let bad = bad_agent(&operator, kind);
        let _ = upgrade(&operator, &bad, "m")
            .exits_with(1)
            .fails_saying(&[said, "the former one runs again"]);
        assert_eq!(digest(&machine), good, "{kind}");
        assert_eq!(counting(&machine), before, "{kind}");
        expect_nothing_left(&machine);
        operator.berth(&["machine", "provision", "m"]).success();
    }
}

#[test]
fn machine_that_is_off_is_started_for_its_upgrade() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    operator.berth(&["machine", "stop", "m"]).success();
    upgrade(&operator, &another_build(&operator), "m").success();
    machine.berth(&["ps"]).success();
}

#[test]
fn systemd_gets_a_good_agent_whatever_is_cut_off() {
    let operator = Operator::new();
    let root = systemd_root();
    let flags = [
        "--sandbox-rootfs",
        &root.to_string_lossy(),
        "--sandbox-init",
        "/sbin/init",
    ];
    let machine = operator.machine_with("m", &flags);
    let before = count(&machine);
    let good = digest(&machine);
    let bad = bad_agent(&operator, "EXITS");
    let _ = upgrade(&operator, &bad, "m")
        .exits_with(1)
        .fails_saying(&["I am no good", "the former one runs again"]);
    assert_eq!(
        (digest(&machine), counting(&machine)),
        (good.clone(), before.clone())
    );

    // Nobody waits for the end of this one.
    let mut command = operator.command(&["machine", "upgrade", "m"]);
    let cut_off = berth_tests_support::Background::start(command.env("BERTH_AGENT", &bad));
    wait_until("the installation has begun", || {
        cut_off.stdout_so_far().contains("Installing and starting")
    });
    cut_off.signal(Signal::SIGKILL);
    let _ended = cut_off.outcome();
    wait_until("the former agent is back", || {
        machine
            .ssh("test ! -e /etc/berth/previous && systemctl is-active berthd")
            .code()
            == Some(0)
    });
    assert_eq!(
        (digest(&machine), counting(&machine)),
        (good.clone(), before.clone())
    );

    // The power failed between the new agent's first start and the end of its trial.
    let bad = std::fs::read(&bad).expect("agent");
    std::fs::write(operator.home().join("bad"), bad).expect("agent");
    let state = "mkdir /etc/berth/previous && cd /etc/berth/previous && : >trying && : >paths && \
                 echo /usr/local/bin >folder && ln /usr/local/bin/berthd /usr/local/bin/.berthd-previous \
                 && cat >/usr/local/bin/.new && chmod 755 /usr/local/bin/.new \
                 && mv /usr/local/bin/.new /usr/local/bin/berthd";
    let mut put = operator.command(&["machine", "ssh", "m", state]);
    let bad = std::fs::File::open(operator.home().join("bad")).expect("agent");
    assert!(put.stdin(bad).status().expect("berth").success());
    let _failed = machine.ssh("systemctl restart berthd").code();
    wait_until("the host has taken the former agent back", || {
        machine
            .ssh("test ! -e /etc/berth/previous && systemctl is-active berthd")
            .code()
            == Some(0)
    });
    assert_eq!((digest(&machine), counting(&machine)), (good, before));
    let told = operator.berth(&["machine", "provision", "m"]).success();
    assert!(told.contains("the agent answers"), "{told}");
}
