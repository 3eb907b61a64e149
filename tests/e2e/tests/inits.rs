//! Hosts that their distribution's own init runs, and hosts that are unlike what one is used to.

use std::path::Path;

use berth_tests_support::{
    Machine, Operator, kill, openrc_root, systemd_root, wait_for, wait_until,
};
use nix::sys::signal::Signal;

/// Makes a machine that boots what is in `root`.
fn booted<'a>(operator: &'a Operator, name: &str, root: &Path) -> Machine<'a> {
    let root = root.to_string_lossy();
    let flags = ["--sandbox-rootfs", &root, "--sandbox-init", "/sbin/init"];
    operator.machine_with(name, &flags)
}

/// Starts a container that stays, and returns its process, as the machine counts.
fn start_container(machine: &Machine<'_>) -> String {
    machine.import_busybox("box");
    // One that listens: a host that goes down waits long for others.
    let script = "trap 'exit 0' TERM; sleep 600 & wait";
    machine
        .berth(&["run", "-d", "--name", "stays", "box", "sh", "-c", script])
        .success();
    container(machine)
}

/// Returns the process of the container that stays, and makes sure that it can be used.
fn container(machine: &Machine<'_>) -> String {
    let answer = machine.berth(&["exec", "stays", "echo", "alive"]);
    assert_eq!(answer.success(), "alive");
    machine
        .berth(&["inspect", "-f", "{{.State.Pid}}", "stays"])
        .success()
}

/// Kills the agent, waits for the one that is started in its place, and expects the container.
fn kill_agent(machine: &Machine<'_>, container_process: &str) {
    let killed = machine.agent_pid();
    kill(killed, Signal::SIGKILL);
    wait_until("another agent runs", || machine.agent_pid() != killed);
    machine.wait_for_agent();
    assert_eq!(container(machine), container_process);
}

fn boot_id(machine: &Machine<'_>) -> Option<String> {
    let answer = machine.ssh("cat /proc/sys/kernel/random/boot_id");
    (answer.code() == Some(0)).then(|| answer.success())
}

/// Has the machine restart itself, and waits until the agent is back without anybody's help.
fn reboot_from_inside(machine: &Machine<'_>) {
    let before = boot_id(machine).expect("a boot has a name");
    // The connection ends in one way or another.
    let _ended = machine.ssh("reboot").code();
    wait_for("the machine is back", || {
        boot_id(machine).filter(|now| *now != before)
    });
    machine.wait_for_agent();
}

/// Restarts the machine over berth, and expects what is on its disk.
fn restart(operator: &Operator, machine: &Machine<'_>) {
    operator
        .berth(&["machine", "restart", machine.name()])
        .success();
    assert_eq!(
        machine.ssh("cat /root/told").success(),
        "to stop",
        "services were stopped in order"
    );
    let all = machine.berth(&["ps", "-a"]).success();
    assert!(all.contains("stays") && all.contains("Exited"), "{all}");
    machine.berth(&["start", "stays"]).success();
    container(machine);
}

#[test]
fn systemd_keeps_the_agent() {
    let operator = Operator::new();
    let machine = booted(&operator, "systemd", &systemd_root());
    assert_eq!(
        machine.ssh("cat /proc/1/comm").success(),
        "systemd",
        "process 1"
    );
    let facts = "systemctl show berthd -p Type,ActiveState,UnitFileState,Delegate,KillMode | sort";
    assert_eq!(
        machine.ssh(facts).success(),
        "ActiveState=active\nDelegate=yes\nKillMode=process\nType=notify\nUnitFileState=enabled"
    );
    wait_until("systemd is content", || {
        machine.ssh("systemctl is-system-running").stdout() == "running\n"
    });

    let process = start_container(&machine);
    kill_agent(&machine, &process);
    machine.ssh("systemctl restart berthd").success();
    assert_eq!(
        machine.ssh("systemctl is-active berthd").success(),
        "active"
    );
    assert_eq!(container(&machine), process, "the container did not notice");

    machine
        .ssh(
            "printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=true\\n\
             ExecStop=sh -c \"echo to stop >/root/told\"\\n[Install]\\nWantedBy=multi-user.target\\n' \
             >/etc/systemd/system/told.service && systemctl -q enable --now told",
        )
        .success();
    restart(&operator, &machine);
    assert_eq!(
        machine.ssh("systemctl is-active berthd").success(),
        "active"
    );
    reboot_from_inside(&machine);
    assert_eq!(
        machine.ssh("systemctl is-active berthd").success(),
        "active"
    );

    let _ended = machine.ssh("poweroff").code();
    wait_until("the machine is off", || {
        operator.berth(&["machine", "status", "systemd"]).success() == "Stopped"
    });
    operator.berth(&["machine", "start", "systemd"]).success();
    machine.berth(&["ps"]).success();
}

#[test]
fn openrc_keeps_the_agent() {
    let operator = Operator::new();
    let machine = booted(&operator, "openrc", &openrc_root());
    assert_eq!(machine.ssh("cat /proc/1/comm").success(), "init");
    let started = |machine: &Machine<'_>| {
        let status = machine.ssh("rc-service berthd status").success();
        assert!(status.contains("started"), "{status}");
    };
    started(&machine);
    let enabled = machine.ssh("rc-update show default").success();
    assert!(enabled.contains("berthd |"), "{enabled}");

    let process = start_container(&machine);
    kill_agent(&machine, &process);
    started(&machine);
    machine.ssh("rc-service berthd restart").success();
    machine.wait_for_agent();
    assert_eq!(container(&machine), process, "the container did not notice");

    machine
        .ssh(
            "printf '#!/sbin/openrc-run\\nstart() { :; }\\nstop() { echo to stop >/root/told; }\\n' \
             >/etc/init.d/told && chmod +x /etc/init.d/told && rc-update -q add told default && \
             rc-service told start",
        )
        .success();
    restart(&operator, &machine);
    started(&machine);
    reboot_from_inside(&machine);
    started(&machine);
}

/// Lets a user in who is not root, and returns what the generic driver must know of the machine.
fn captain(machine: &Machine<'_>, sudo: &str) -> Vec<String> {
    machine
        .ssh(&format!(
            "id captain >/dev/null 2>&1 || useradd -m -s /bin/sh -p '*' captain && \
             install -d -m 700 -o captain ~captain/.ssh && \
             install -m 600 -o captain ~/.ssh/authorized_keys ~captain/.ssh/authorized_keys && \
             echo 'captain ALL=(ALL) {sudo}ALL' >/etc/sudoers.d/captain"
        ))
        .success();
    flags(machine, "captain")
}

fn flags(machine: &Machine<'_>, user: &str) -> Vec<String> {
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
        "--generic-ssh-user",
        user,
        "adopted",
    ];
    words.map(str::to_owned).to_vec()
}

/// Adopts the machine for another operator by the generic driver.
fn adopt(words: &[String]) -> (Operator, berth_tests_support::Outcome) {
    let other = Operator::new();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = other.berth(&words);
    (other, outcome)
}

#[test]
fn host_is_adopted_through_sudo_or_without_a_name() {
    let operator = Operator::new();
    let host = booted(&operator, "host", &systemd_root());
    let forget = "systemctl -q disable --now berthd; \
                  rm -r /etc/berth /usr/local/bin/berthd /etc/systemd/system/berthd.service";
    host.ssh(forget).success();

    // With a password, which is asked for where nobody could answer.
    let (_other, outcome) = adopt(&captain(&host, ""));
    let _ = outcome.exits_with(1).fails_saying(&[
        "captain",
        "cannot become root",
        "password",
        "NOPASSWD",
    ]);
    assert_ne!(host.ssh("test -e /usr/local/bin/berthd").code(), Some(0));

    let (other, outcome) = adopt(&captain(&host, "NOPASSWD: "));
    outcome.success();
    assert_eq!(host.ssh("systemctl is-active berthd").success(), "active");
    let adopted = other.existing("adopted");
    assert_eq!(adopted.ssh("id -un").success(), "captain");
    adopted.import_busybox("box");
    let said = adopted.berth(&["run", "--rm", "box", "echo", "aboard"]);
    assert_eq!(said.success(), "aboard");

    // Nothing says which distribution this is, and nothing has to.
    host.ssh(&format!(
        "{forget}; rm -f /etc/os-release /usr/lib/os-release"
    ))
    .success();
    let (other, outcome) = adopt(&flags(&host, "root"));
    outcome.success();
    other.existing("adopted").berth(&["ps"]).success();
}
