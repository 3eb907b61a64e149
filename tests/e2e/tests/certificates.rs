//! Certificates that end, are replaced, or are revoked, while machines go on.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests end their test when something is not as it should be"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use berth_controller_pki::{Authority, CertificateFacts, ServerIdentity, Validity};
use berth_tests_support::{Background, Machine, Operator, Outcome, wait_until};
use nix::sys::signal::Signal;
use time::{Duration as Days, OffsetDateTime};

fn facts(path: &Path) -> CertificateFacts {
    CertificateFacts::parse(&fs::read_to_string(path).unwrap()).unwrap()
}

fn server(machine: &Machine<'_>) -> CertificateFacts {
    facts(&machine.folder().join("server.pem"))
}

/// Returns the certificate that a machine shows to anybody.
fn shown(machine: &Machine<'_>, address: &str) -> CertificateFacts {
    let line = format!(
        "openssl s_client -connect {address}:2376 </dev/null 2>/dev/null | openssl x509 \
         -outform PEM"
    );
    let text = Outcome::of(Command::new("sh").arg("-c").arg(line)).success();
    let facts = CertificateFacts::parse(&text).unwrap();
    assert!(facts.has_name("localhost"), "{} has it", machine.name());
    facts
}

fn authority(operator: &Operator) -> Authority {
    let certs = operator.store().join("certs");
    let read = |name: &str| fs::read_to_string(certs.join(name)).unwrap();
    Authority::load(&read("ca.pem"), &read("ca-key.pem")).unwrap()
}

/// Asks as docker would, with the files of a folder.
fn curl(folder: &Path, address: &str) -> Outcome {
    let file = |name: &str| folder.join(name);
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "10"]);
    for (flag, name) in [
        ("--cacert", "ca.pem"),
        ("--cert", "cert.pem"),
        ("--key", "key.pem"),
    ] {
        command.arg(flag).arg(file(name));
    }
    Outcome::of(command.arg(format!("https://{address}:2376/_ping")))
}

/// Puts a text into a file of the machine.
fn put(machine: &Machine<'_>, path: &str, text: &str) {
    machine
        .ssh(&format!("cat >{path} <<'END'\n{text}\nEND"))
        .success();
}

/// Gives a machine's agent a certificate that began and ends on other days, as if it had always had
/// it.
fn age(operator: &Operator, machine: &Machine<'_>, days_old: i64, days_left: i64) {
    let now = OffsetDateTime::now_utc();
    let before = server(machine);
    let mut names = before.names().to_vec();
    let at = names
        .iter()
        .position(|name| name.ends_with(".berth"))
        .unwrap();
    let identity = ServerIdentity {
        stable_name: names.remove(at),
        names,
    };
    let validity = Validity {
        not_before: now - Days::days(days_old),
        not_after: now + Days::days(days_left),
    };
    let issued = authority(operator)
        .issue_server(&identity, validity)
        .unwrap();
    let folder = machine.folder();
    fs::write(folder.join("server.pem"), &issued.certificate_pem).unwrap();
    fs::write(folder.join("server-key.pem"), issued.key_pem.as_str()).unwrap();
    put(machine, "/etc/berth/server.pem", &issued.certificate_pem);
    put(machine, "/etc/berth/server-key.pem", &issued.key_pem);
    machine
        .ssh("kill -HUP $(cat /run/berth/berthd.pid)")
        .success();
    wait_until("the aged certificate is shown", || {
        shown(machine, &machine.ip()).fingerprint() == server(machine).fingerprint()
    });
}

/// A log that is followed all the time.
struct Followed(Background);

impl Followed {
    fn on(machine: &Machine<'_>) -> Self {
        machine.import_busybox("box");
        let chatty = "while true; do echo line; sleep 0.02; done";
        machine
            .berth(&["run", "-d", "--name", "chatty", "box", "sh", "-c", chatty])
            .success();
        let mut followed = Self(machine.start(&["logs", "-f", "chatty"]));
        followed.goes_on();
        followed
    }

    fn goes_on(&mut self) {
        let before = self.0.stdout_so_far().len();
        wait_until("the followed log goes on", || {
            self.0.stdout_so_far().len() > before + 50
        });
        assert!(!self.0.has_ended());
    }
}

#[test]
fn certificates_are_renewed_on_contact_and_nothing_is_interrupted() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let mut log = Followed::on(&machine);
    let agent = machine.agent_pid();

    age(&operator, &machine, 1000, 10);
    let listed = operator.berth(&["machine", "certs", "m"]).success();
    assert!(listed.contains("ending"), "{listed}");
    let quiet = machine.berth(&["ps"]).exits_with(0);
    assert!(quiet.stderr().contains("ends soon"), "{quiet:?}");
    let renewed = server(&machine);
    assert!(renewed.not_after() > OffsetDateTime::now_utc() + Days::days(1000));
    assert_eq!(shown(&machine, &machine.ip()), renewed);
    let key = machine.folder().join("server-key.pem");
    assert!(!key.exists(), "the key is made where it is used");
    assert_eq!(
        machine.berth(&["ps"]).exits_with(0).stderr(),
        "",
        "nothing is due now"
    );
    log.goes_on();

    // Expired, also for the client: the way is SSH.
    age(&operator, &machine, 2000, -3);
    let own = authority(&operator);
    let over = Validity {
        not_before: OffsetDateTime::now_utc() - Days::days(30),
        not_after: OffsetDateTime::now_utc() - Days::days(1),
    };
    let client = own.issue_client("operator", over).unwrap();
    for folder in [operator.store().join("certs"), machine.folder()] {
        fs::write(folder.join("cert.pem"), &client.certificate_pem).unwrap();
        fs::write(folder.join("key.pem"), client.key_pem.as_str()).unwrap();
    }
    let told = machine.berth(&["ps"]).exits_with(0);
    assert!(told.stderr().contains("through ssh"), "{told:?}");
    assert_eq!(machine.berth(&["ps"]).exits_with(0).stderr(), "");
    let _ = curl(&machine.folder(), &machine.ip()).exits_with(0);
    log.goes_on();

    let before = server(&machine);
    operator
        .berth(&["machine", "regenerate-certs", "-f", "--client-certs", "m"])
        .success();
    assert_ne!(server(&machine), before);
    assert_eq!(shown(&machine, &machine.ip()), server(&machine));
    let _ = curl(&machine.folder(), &machine.ip()).exits_with(0);
    log.goes_on();

    // Provisioning leaves alone what the agent has made itself.
    let before = server(&machine);
    operator.berth(&["machine", "provision", "m"]).success();
    assert_eq!(shown(&machine, &machine.ip()), before);
    assert_eq!(machine.agent_pid(), agent, "the same process all the time");
    log.goes_on();
}

#[test]
fn changed_address_is_in_the_certificate_after_the_next_contact() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let old = machine.ip();
    let (network, last) = old.rsplit_once('.').unwrap();
    // Machines get the lowest addresses that are free, so that nobody's is at this end.
    let new = format!("{network}.{}", 254 - last.parse::<u8>().unwrap() % 100);
    assert_ne!(new, old);
    let add = "set -- $(ip -o -4 addr show scope global | head -n 1); ip addr add";
    machine
        .ssh(&format!("{add} {new}/${{4#*/}} dev $2"))
        .success();
    // As a driver notes it when a machine comes back with another address.
    let config = machine.folder().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(&old, &new)).unwrap();
    let refused = curl(&machine.folder(), &new);
    assert_ne!(refused.code(), Some(0), "the address is not in it yet");
    let told = machine.berth(&["ps"]).exits_with(0);
    assert!(told.stderr().contains("address has changed"), "{told:?}");
    let _ = curl(&machine.folder(), &new).exits_with(0);
    assert!(server(&machine).has_name(&new));
    fs::write(&config, text).unwrap();
}

/// Ends a machine's agent with its watcher, and returns when nobody listens.
fn agent_off(machine: &Machine<'_>) {
    machine.ssh("kill $(cat /run/berth/watch.pid)").success();
    wait_until("nobody listens", || {
        machine.ssh("test -e /run/berth/berthd.pid").code() != Some(0)
    });
}

fn agent_on(machine: &Machine<'_>) {
    let start = "berthd watch --ready-fd 3 3>&1 >/dev/null 2>&1 </dev/null";
    let path = "PATH=$PATH:/usr/local/bin:/opt/berth/bin";
    assert_eq!(machine.ssh(&format!("{path}; {start}")).success(), "ready");
}

fn copy_of(folder: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir(&to).unwrap();
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        fs::copy(folder.join(name), to.join(name)).unwrap();
    }
    to
}

#[test]
fn authority_is_replaced_although_a_machine_is_away_and_the_command_is_killed() {
    let operator = Operator::new();
    let (near, far) = (operator.machine("near"), operator.machine("far"));
    let mut log = Followed::on(&near);
    let certs = operator.store().join("certs");
    let old = facts(&certs.join("ca.pem"));
    let before = copy_of(&near.folder(), operator.home().join("before"));
    agent_off(&far);
    for delay_ms in [3, 20, 60] {
        let mut rotate = Background::start(&mut operator.command(&["machine", "rotate-ca"]));
        std::thread::sleep(Duration::from_millis(delay_ms));
        rotate.signal(Signal::SIGKILL);
        let _ = (rotate.has_ended(), rotate.outcome());
        // Docker's way and ours work at every point.
        let _ = curl(&near.folder(), &near.ip()).exits_with(0);
        near.berth(&["ps"]).success();
    }
    // What is left to do is told by the exit code, too.
    let rotated = operator.berth(&["machine", "rotate-ca"]).exits_with(75);
    assert!(
        rotated.stdout().contains("\"near\" has moved"),
        "{rotated:?}"
    );
    assert!(rotated.stderr().contains("\"far\" follows"), "{rotated:?}");
    let new = facts(&certs.join("ca.pem"));
    assert_ne!(new, old);
    let bundle = fs::read_to_string(certs.join("ca.pem")).unwrap();
    assert_eq!(
        CertificateFacts::parse_all(&bundle).unwrap(),
        [new.clone(), old.clone()]
    );
    assert!(shown(&near, &near.ip()).is_signed_by(&new));
    for folder in [&before, &near.folder()] {
        let asked = curl(folder, &near.ip());
        // Whoever has only the old authority's file does not know the machine's new certificate.
        assert_eq!(asked.code() == Some(0), folder != &before, "{asked:?}");
    }
    log.goes_on();
    let _ = operator
        .berth(&["machine", "rotate-ca", "--finish"])
        .fails_saying(&["far", "not all machines"]);

    agent_on(&far);
    far.berth(&["ps"]).success();
    assert!(shown(&far, &far.ip()).is_signed_by(&new));
    operator
        .berth(&["machine", "rotate-ca", "--finish"])
        .success();
    let text = fs::read_to_string(certs.join("ca.pem")).unwrap();
    assert_eq!(CertificateFacts::parse_all(&text).unwrap(), [new]);
    for machine in [&near, &far] {
        assert_eq!(machine.berth(&["ps"]).exits_with(0).stderr(), "");
        let _ = curl(&machine.folder(), &machine.ip()).exits_with(0);
        let on_host = machine.ssh("cat /etc/berth/ca.pem").success();
        assert!(
            !on_host.contains(old.pem().lines().nth(3).unwrap()),
            "retired"
        );
    }
    fs::copy(certs.join("ca.pem"), before.join("ca.pem")).unwrap();
    let refused = curl(&before, &near.ip());
    assert_ne!(
        refused.code(),
        Some(0),
        "the old client certificate is worth nothing"
    );
}

#[test]
fn lost_authority_is_never_replaced_in_silence_and_can_be() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let certs = operator.store().join("certs");
    fs::remove_file(certs.join("ca.pem")).unwrap();
    operator.berth(&["machine", "provision", "m"]).success();
    let _ = curl(&machine.folder(), &machine.ip()).exits_with(0);
    for name in ["ca.pem", "ca-key.pem"] {
        fs::remove_file(certs.join(name)).unwrap();
    }
    let _ = operator
        .berth(&["machine", "provision", "m"])
        .fails_saying(&["missing", "rotate-ca"]);
    operator.berth(&["machine", "rotate-ca"]).success();
    operator
        .berth(&["machine", "rotate-ca", "--finish"])
        .success();
    machine.berth(&["ps"]).success();
    operator.berth(&["machine", "provision", "m"]).success();
    let _ = curl(&machine.folder(), &machine.ip()).exits_with(0);
}

#[test]
fn revoked_clients_and_machines_are_out_at_once_or_at_the_next_contact() {
    let operator = Operator::new();
    let (near, far) = (operator.machine("near"), operator.machine("far"));
    let thief = operator.home().join("thief");
    operator
        .berth(&[
            "machine",
            "issue-client",
            "laptop",
            "--days",
            "30",
            "--out",
            "thief",
        ])
        .success();
    let _ = curl(&thief, &near.ip()).exits_with(0);
    let _ = curl(&thief, &far.ip()).exits_with(0);
    agent_off(&far);
    let revoked = operator
        .berth(&["machine", "revoke-client", "laptop"])
        .exits_with(75);
    assert!(
        revoked.stdout().contains("1 of 2 machines know"),
        "{revoked:?}"
    );
    assert!(
        revoked.stderr().contains("\"far\" does not know yet"),
        "{revoked:?}"
    );
    assert_ne!(curl(&thief, &near.ip()).code(), Some(0));
    let listed = operator.berth(&["machine", "certs"]).success();
    assert!(
        listed.contains("revoked") && listed.contains("to be told"),
        "{listed}"
    );
    agent_on(&far);
    far.berth(&["ps"]).success();
    assert_ne!(curl(&thief, &far.ip()).code(), Some(0));
    let _ = operator
        .berth(&["machine", "revoke-client", "nobody"])
        .fails_saying(&["nobody", "certs"]);

    // Our own: replaced first, and the old one is out.
    let before = copy_of(&near.folder(), operator.home().join("before"));
    let own = facts(&before.join("cert.pem")).fingerprint();
    let told = operator
        .berth(&["machine", "revoke-client", &own[..16]])
        .success();
    assert!(
        told.contains("your own") && told.contains("2 of 2"),
        "{told}"
    );
    assert_ne!(curl(&before, &near.ip()).code(), Some(0));
    let _ = curl(&near.folder(), &near.ip()).exits_with(0);

    operator
        .berth(&["machine", "revoke", "-f", "near"])
        .success();
    let _ = near
        .berth(&["ps"])
        .fails_saying(&["revoked", "regenerate-certs"]);
    far.berth(&["ps"]).success();
    operator
        .berth(&["machine", "regenerate-certs", "-f", "near"])
        .success();
    near.berth(&["ps"]).success();
}
