//! Hosts that are hard to reach or to become root on.

use std::process::Command;

use berth_tests_support::{Machine, Operator, Outcome, systemd_root};

fn generic(machine: &Machine<'_>, user: &str, more: &[&str]) -> (Operator, Outcome) {
    let other = Operator::new();
    let key = machine.folder().join("id_ed25519");
    let (ip, key) = (machine.ip(), key.to_string_lossy().into_owned());
    let words = [
        "machine",
        "create",
        "-d",
        "generic",
        "--generic-ip-address",
        &ip,
        "--generic-ssh-key",
        &key,
        "--generic-ssh-user",
        user,
    ];
    let words = [&words[..], more, &["far"]].concat();
    let outcome = other.berth(&words);
    (other, outcome)
}

#[test]
fn lossy_network_is_got_over() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let forget = "kill $(cat /run/berth/watch.pid); rm -rf /etc/berth /usr/local/bin/berthd";
    machine.ssh(forget).success();
    let pid = machine.ssh("echo $$").success();
    assert!(!pid.is_empty());
    // One packet in twenty is lost, on its way in and on its way out.
    let rules = "nft add table inet loss && \
                 nft add chain inet loss in '{ type filter hook input priority 0; }' && \
                 nft add chain inet loss out '{ type filter hook output priority 0; }' && \
                 nft add rule inet loss in numgen random mod 20 == 0 drop && \
                 nft add rule inet loss out numgen random mod 20 == 0 drop";
    machine.ssh(rules).success();
    let (other, outcome) = generic(&machine, "root", &[]);
    outcome.success();
    other.existing("far").berth(&["ps"]).success();
}

#[test]
fn password_for_sudo_is_read_from_a_file() {
    let operator = Operator::new();
    let root = systemd_root();
    let flags = [
        "--sandbox-rootfs",
        &root.to_string_lossy(),
        "--sandbox-init",
        "/sbin/init",
    ];
    let host = operator.machine_with("host", &flags);
    host.ssh(
        "systemctl -q disable --now berthd; \
         rm -r /etc/berth /usr/local/bin/berthd /etc/systemd/system/berthd.service; \
         useradd -m -s /bin/sh captain && echo 'captain:open sesame' | chpasswd && \
         install -d -m 700 -o captain ~captain/.ssh && \
         install -m 600 -o captain ~/.ssh/authorized_keys ~captain/.ssh/authorized_keys && \
         echo 'captain ALL=(ALL) ALL' >/etc/sudoers.d/captain",
    )
    .success();
    let wrong = operator.home().join("wrong");
    std::fs::write(&wrong, "open barley\n").expect("file");
    let (_other, outcome) = generic(
        &host,
        "captain",
        &["--sudo-password-file", &wrong.to_string_lossy()],
    );
    let _ = outcome
        .exits_with(1)
        .fails_saying(&["does not take the password of user \"captain\""]);
    let right = operator.home().join("right");
    std::fs::write(&right, "open sesame\n").expect("file");
    let (other, outcome) = generic(
        &host,
        "captain",
        &["--sudo-password-file", &right.to_string_lossy()],
    );
    outcome.success();
    assert_eq!(host.ssh("systemctl is-active berthd").success(), "active");
    let far = other.existing("far");
    far.import_busybox("box");
    let said = far.berth(&["run", "--rm", "box", "echo", "aboard"]);
    assert_eq!(said.success(), "aboard");
    // Neither the host's log nor anything that was written down knows it.
    let journal = host
        .ssh("journalctl --no-pager -o cat; cat /etc/berth/*")
        .success();
    assert!(!journal.contains("open sesame"), "{journal}");
    let kept = Command::new("grep")
        .args(["-rl", "open sesame"])
        .arg(other.store())
        .output()
        .expect("grep");
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "");
}
