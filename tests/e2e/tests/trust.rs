//! Who may talk to an agent.

use std::path::Path;
use std::process::Command;

use berth_tests_support::{Machine, Operator, Outcome};

/// Asks the agent for anything at all with curl, and the given files.
fn curl(machine: &Machine<'_>, authority: &Path, identity: Option<&Path>) -> Outcome {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--noproxy", "*", "--max-time", "10", "--cacert"])
        .arg(authority.join("ca.pem"));
    if let Some(folder) = identity {
        command
            .arg("--cert")
            .arg(folder.join("cert.pem"))
            .arg("--key")
            .arg(folder.join("key.pem"));
    }
    Outcome::of(command.arg(format!("https://{}:2376/_ping", machine.ip())))
}

#[test]
fn only_holders_of_the_operators_certificate_are_served() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let stranger = Operator::new();
    let _theirs = stranger.machine("theirs");
    let (own, foreign) = (
        operator.store().join("certs"),
        stranger.store().join("certs"),
    );

    let _ = curl(&machine, &own, Some(&own)).exits_with(0);
    let nothing = curl(&machine, &own, None);
    assert!(
        nothing.code() != Some(0) && nothing.stdout().is_empty(),
        "no certificate: {nothing:?}"
    );
    let wrong = curl(&machine, &own, Some(&foreign));
    assert!(
        wrong.code() != Some(0) && wrong.stdout().is_empty(),
        "another authority: {wrong:?}"
    );
    let _ = curl(&machine, &foreign, Some(&own)).exits_with(60);

    // A server's certificate is of the right authority but for another purpose.
    let server = operator.home().join("server");
    std::fs::create_dir(&server).unwrap();
    std::fs::copy(machine.folder().join("server.pem"), server.join("cert.pem")).unwrap();
    std::fs::copy(
        machine.folder().join("server-key.pem"),
        server.join("key.pem"),
    )
    .unwrap();
    let misused = curl(&machine, &own, Some(&server));
    assert!(
        misused.code() != Some(0) && misused.stdout().is_empty(),
        "a server's: {misused:?}"
    );

    // For clients that know nothing newer; what is older than that is refused.
    let old = curl_up_to("1.2", &machine, &own);
    assert_eq!(old.code(), Some(0), "TLS 1.2: {old:?}");
    let older = curl_up_to("1.1", &machine, &own);
    assert_ne!(older.code(), Some(0), "TLS 1.1 is not spoken: {older:?}");
}

fn curl_up_to(version: &str, machine: &Machine<'_>, own: &Path) -> Outcome {
    Outcome::of(
        Command::new("curl")
            .args([
                "-sS",
                "--noproxy",
                "*",
                "--max-time",
                "10",
                "--tls-max",
                version,
                "--cacert",
            ])
            .arg(own.join("ca.pem"))
            .arg("--cert")
            .arg(own.join("cert.pem"))
            .arg("--key")
            .arg(own.join("key.pem"))
            .arg(format!("https://{}:2376/_ping", machine.ip())),
    )
}

#[test]
fn berth_refuses_an_agent_of_another_authority() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let stranger = Operator::new();
    let theirs = stranger.machine("theirs");
    // Somebody else's machine sits where ours should be.
    let config = machine.folder().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&machine.ip(), &theirs.ip())).unwrap();
    let _ = machine.berth(&["ps"]).fails_saying(&["certificate"]);
    std::fs::write(&config, text).unwrap();
    machine.berth(&["ps"]).success();
}
