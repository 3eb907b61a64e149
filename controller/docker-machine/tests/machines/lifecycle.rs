//! `start`, `stop`, `restart` and `kill`.

use crate::server::engine;
use crate::support::Operator;

/// An operator with two machines that run.
fn operator() -> Operator {
    let operator = Operator::new();
    operator.machine("far", "tcp://192.0.2.7:2376");
    let port = engine(&operator, &["127.0.0.1"]);
    for name in ["one", "two"] {
        let made = operator.types(&format!(
            "create -d fake --fake-url tcp://127.0.0.1:{port} {name}"
        ));
        assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    }
    operator
}

#[test]
fn machine_without_a_state_has_an_empty_one() {
    let operator = Operator::new();
    let made = operator.types("create -d fake --fake-gone lost");
    assert_eq!(made.code, 0, "{}", made.stderr);
    operator.types("status lost").is(0, "\n", "");
    let row = operator.gives(&["ls", "--format", "{{.Name}}[{{.State}}]"]);
    row.is(0, "lost[]\n", "");
}

#[test]
fn machines_are_stopped_and_started() {
    let operator = operator();
    operator
        .types("stop one")
        .is(0, "Stopping \"one\"...\nMachine \"one\" was stopped.\n", "");
    operator.types("status one").is(0, "Stopped\n", "");
    operator.types("url one").is(1, "", "Host is not running\n");
    operator.types("stop one").is(
        1,
        "Stopping \"one\"...\n",
        "Machine \"one\" is already stopped.\n",
    );
    let started = operator.types("start one");
    assert_eq!((started.code, started.stderr.as_str()), (0, ""));
    assert!(
        started
            .stdout
            .starts_with("Starting \"one\"...\nMachine \"one\" was started.\n"),
        "{}",
        started.stdout
    );
    assert!(
        started.stdout.ends_with(
            "\nStarted machines may have new IP addresses. You may need to re-run the `docker-machine env` command.\n"
        ),
        "{}",
        started.stdout
    );
    operator.types("start one").is(
        1,
        "Starting \"one\"...\n",
        "Machine \"one\" is already running.\n",
    );
    let made = operator.types("create -d fake dead");
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(operator.types("stop dead").code, 0);
    operator.types("env dead").is(
        1,
        "",
        "Error checking TLS connection: Host is not running\n",
    );
    operator
        .types("kill one")
        .is(0, "Killing \"one\"...\nMachine \"one\" was killed.\n", "");
}

#[test]
fn restart_starts_what_is_off() {
    let operator = operator();
    let restarted = operator.types("restart one");
    assert_eq!((restarted.code, restarted.stderr.as_str()), (0, ""));
    assert!(restarted.stdout.starts_with("Restarting \"one\"...\n"));
    assert!(restarted.stdout.ends_with(
        "\nRestarted machines may have new IP addresses. You may need to re-run the `docker-machine env` command.\n"
    ));
    assert_eq!(operator.types("stop one").code, 0);
    let restarted = operator.types("restart one");
    assert!(
        restarted.stdout.starts_with(
            "Restarting \"one\"...\nStarting \"one\"...\nMachine \"one\" was started.\n"
        ),
        "{}",
        restarted.stdout
    );
    operator.types("status one").is(0, "Running\n", "");
}

#[test]
fn what_goes_wrong_with_several_is_told_together() {
    let operator = operator();
    assert_eq!(operator.types("stop one").code, 0);
    let said = operator.types("stop one two far");
    assert_eq!(said.code, 1);
    assert_eq!(
        said.stderr,
        "Machine \"one\" is already stopped.\nhosts without a driver cannot be stopped\n"
    );
    // The one that could be stopped was.
    operator.types("status two").is(0, "Stopped\n", "");
    let said = operator.types("kill far");
    assert_eq!(said.stderr, "hosts without a driver cannot be killed\n");
    let said = operator.types("restart far");
    assert_eq!(said.stderr, "hosts without a driver cannot be restarted\n");
}
