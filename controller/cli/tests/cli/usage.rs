//! Command lines that make no sense, help, and what is made of the commands themselves.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::program::{Ended, berth};

fn run(words: &[&str]) -> Ended {
    let home = tempfile::tempdir().unwrap();
    Ended::from(berth(&home, words).output().unwrap())
}

#[test]
fn bad_command_lines_end_like_dockers() {
    run(&["run", "--bogus", "x"]).fails(125, "unknown flag: --bogus");
    run(&["run", "-Z", "x"]).fails(125, "unknown shorthand flag");
    run(&["run"]).fails(1, "usage: berth run [OPTIONS] IMAGE [COMMAND] [ARG...]");
    run(&["run", "--name"]).fails(125, "flag needs an argument: --name");
    run(&["run", "-m", "4x", "b"]).fails(125, "invalid suffix: 'x'");
    run(&["run", "--pull", "sometimes", "b"]).fails(125, "invalid pull option: 'sometimes'");
    run(&["ps", "x"]).fails(1, "too many arguments: x");
    run(&["rm"]).fails(1, "arguments are missing: CONTAINER");
    run(&["frob"]).fails(1, "unknown command: frob");
    run(&["psx"]).fails(1, "did you mean");
    run(&["exec", "only"]).fails(1, "arguments are missing: CONTAINER COMMAND");
}

#[test]
fn help_and_version_are_no_errors() {
    let help = run(&["run", "--help"]).success();
    assert!(
        help.contains("--sig-proxy") && help.contains("Examples:"),
        "{help}"
    );
    assert!(run(&["--version"]).success().starts_with("berth "));
    assert!(run(&["--help"]).success().contains("machine"));
    run(&["machine"]).fails(1, "create");
}

#[test]
fn an_engine_that_is_not_there_is_said_so() {
    run(&["--host", "unix:///no/such/socket", "ps"]).fails(1, "does not answer");
    run(&["--host", "unix:///no/such/socket", "run", "x"]).fails(125, "does not answer");
    run(&["--host", "tcp://1.2.3.4:1", "ps"]).fails(1, "not a unix socket");
}

#[test]
fn scripts_and_pages_are_made_for_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = run(&["completion", shell]).success();
        assert!(script.contains("BERTH_COMPLETE"), "{shell}: {script}");
    }
    let folder = tempfile::tempdir().unwrap();
    run(&["man", folder.path().to_str().unwrap()]).success();
    for page in ["berth.1", "berth-run.1", "berth-machine-create.1"] {
        let page = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(page.contains(".TH"), "{page}");
    }
}

/// What bash would offer for the last of `words`.
fn offered(store: &Path, words: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(["--", "berth"])
        .args(words)
        .env("BERTH_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n")
        .env("BERTH_STORAGE_PATH", store)
        .output();
    let offered = Ended::from(output.unwrap()).success();
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_is_offered_commands_flags_and_machines() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path();
    let create = [
        "machine",
        "create",
        "-d",
        "none",
        "--url",
        "tcp://127.0.0.1:1",
    ];
    let storage = ["--storage-path", store.to_str().unwrap(), "edge-one"];
    run(&[create.as_slice(), &storage].concat()).success();

    assert_eq!(offered(store, &["machine", "ins"]), ["inspect"]);
    assert_eq!(offered(store, &["run", "--sig-p"]), ["--sig-proxy"]);
    assert_eq!(offered(store, &["machine", "rm", "ed"]), ["edge-one"]);
    assert_eq!(offered(store, &["--machine", ""]), ["edge-one"]);
    // A machine that does not answer offers nothing, and says nothing into the typed line.
    assert!(offered(store, &["-M", "edge-one", "stop", "x"]).is_empty());
}

#[test]
fn under_docker_machines_name_the_machine_commands_are_the_top_level() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("docker-machine");
    symlink(env!("CARGO_BIN_EXE_berth"), &name).unwrap();
    let output = Command::new(name)
        .args(["status", "nobody"])
        .env("HOME", folder.path())
        .output();
    Ended::from(output.unwrap()).fails(
        1,
        "Docker machine \"nobody\" does not exist. Use \"docker-machine ls\"",
    );
}
