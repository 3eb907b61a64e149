//! The machine commands, as far as they need no machine.

use std::fs;

use crate::program::{Ended, Place, berth};

fn run(home: &tempfile::TempDir, words: &[&str]) -> Ended {
    Ended::from(berth(home, words).output().unwrap())
}

#[test]
fn without_machines_the_way_to_one_is_told() {
    let home = tempfile::tempdir().unwrap();
    run(&home, &["ps"]).fails(1, "berth machine create");
    assert_eq!(run(&home, &["machine", "ls", "-q"]).success(), "");
    assert_eq!(
        run(&home, &["machine", "ls"]).success(),
        "NAME   ACTIVE   DRIVER   STATE   URL   SWARM   DOCKER   ERRORS\n"
    );
    run(&home, &["machine", "active"]).fails(1, "No active host found");
}

#[test]
fn unknown_machines_are_named_as_docker_machine_does() {
    let home = tempfile::tempdir().unwrap();
    for verb in [
        "status", "ip", "url", "inspect", "env", "start", "stop", "ssh", "config",
    ] {
        // What is not the remote command's own code is told apart from it, as ssh does.
        let code = if verb == "ssh" { 255 } else { 1 };
        run(&home, &["machine", verb, "nobody"]).fails(
            code,
            "Docker machine \"nobody\" does not exist. Use \"berth machine ls\"",
        );
        run(&home, &["machine", verb]).fails(
            1,
            "Error: No machine name(s) specified and no \"default\" machine exists",
        );
    }
    run(&home, &["--machine", "nobody", "ps"]).fails(1, "\"nobody\" does not exist");
    run(&home, &["machine", "rm", "-y", "nobody"]).fails(1, "\"nobody\" does not exist");
    run(&home, &["machine", "rm"]).fails(1, "Error: Expected to get one or more machine names");
    run(&home, &["machine", "rm", "-f", "nobody"]).success();
}

#[test]
fn rm_asks_first() {
    let home = tempfile::tempdir().unwrap();
    let machine = home.path().join(".docker/machine/machines/precious");
    fs::create_dir_all(&machine).unwrap();
    let ended = run(&home, &["machine", "rm", "precious"]);
    assert_eq!(
        ended.success(),
        "About to remove precious\nWARNING: This action will delete both local reference and \
         remote instance.\nAre you sure? (y/n): "
    );
    assert!(machine.exists());
}

#[test]
fn several_machines_need_a_choice() {
    let home = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::create_dir_all(home.path().join(".docker/machine/machines").join(name)).unwrap();
    }
    run(&home, &["ps"]).fails(1, "choose with --machine or BERTH_MACHINE: one, two");
}

#[test]
fn env_needs_to_know_the_shell() {
    let home = tempfile::tempdir().unwrap();
    let mut command = berth(&home, &["machine", "env", "-u"]);
    let ended = Ended::from(command.env_remove("SHELL").output().unwrap());
    assert!(
        ended
            .stdout
            .starts_with("The default lines below are for a sh/bash shell")
    );
    ended.fails(1, "Error: Unknown shell");
    let unset = run(&home, &["machine", "env", "-u"]).success();
    assert!(
        unset.starts_with("unset DOCKER_TLS_VERIFY\nunset DOCKER_HOST\n"),
        "{unset}"
    );
    assert!(unset.ends_with("machine env -u)\n"), "{unset}");
    run(&home, &["machine", "env", "-u", "demo"]).fails(1, "Expected no machine name");
}

#[test]
fn create_shows_the_flags_of_its_driver() {
    let home = tempfile::tempdir().unwrap();
    let help = run(&home, &["machine", "create", "--help", "-d", "sandbox"]).success();
    assert!(help.starts_with("Make machines\n"), "{help}");
    assert!(
        help.contains("--sandbox-") && help.contains("--engine-insecure-registry"),
        "{help}"
    );
    run(&home, &["machine", "create", "-d", "nonesuch", "x"])
        .fails(1, "driver \"nonesuch\" not found");
    run(&home, &["machine", "create"]).fails(1, "arguments are missing");
    run(&home, &["machine", "create", "--bogus", "x"]).fails(1, "unknown flag: --bogus");
}

#[test]
fn a_record_is_shown_by_template_and_unknown_fields_have_no_value() {
    let place = Place::new();
    let machine = place.home.path().join(".docker/machine/machines/old");
    fs::create_dir_all(&machine).unwrap();
    let record = r#"{"ConfigVersion":3,"Driver":{"IPAddress":"10.0.0.9","MachineName":"old"},
        "DriverName":"none","HostOptions":{"AuthOptions":{"StorePath":"/x"}},"Name":"old"}"#;
    fs::write(machine.join("config.json"), record).unwrap();
    let show = |format: &str| {
        place
            .run(&["machine", "inspect", "old", "-f", format])
            .success()
    };
    assert_eq!(
        show("{{.HostOptions.AuthOptions.StorePath}} {{.Nope}}"),
        "/x <no value>\n"
    );
    assert_eq!(show("{{json .Driver.IPAddress}}"), "\"10.0.0.9\"\n");
    let all = place.run(&["machine", "inspect", "old"]).success();
    assert!(all.starts_with("{\n    \"ConfigVersion\": 3,\n"), "{all}");
}
