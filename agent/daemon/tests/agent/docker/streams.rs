//! Streams of containers through the docker CLI: exec, logs, attach, terminals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::{Docker, end};
use crate::client::IMAGE;
use crate::host::Host;

#[test]
fn exec_gives_output_and_codes() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let name = docker.name;
        docker.ok(&["run", "-d", "--name", name, IMAGE, "sleep", "600"]);
        let script = "echo out; echo err >&2; exit 5";
        let said = docker.run(&["exec", name, "sh", "-c", script]);
        assert_eq!(
            (said.out.as_str(), said.err.as_str(), said.code),
            ("out\n", "err\n", 5)
        );
        let said = docker.run_with(&["exec", "-i", name, "cat"], "typed");
        assert_eq!((said.out.as_str(), said.code), ("typed", 0));
        let words = [
            "exec", "-u", "app", "-w", "/tmp", "-e", "A=b", name, "sh", "-c",
        ];
        assert_eq!(
            docker.ok(&[&words[..], &["id -un; pwd; echo $A"]].concat()),
            "app\n/tmp\nb"
        );
        for (command, code) in [("no-such-command", 127), ("/etc/not-executable", 126)] {
            let said = docker.run(&["exec", name, command]);
            assert_eq!(said.code, code, "{said:?}");
            assert!(
                said.out.contains(command) || said.err.contains(command),
                "{said:?}"
            );
        }
        docker.ok(&["exec", "-d", name, "touch", "/tmp/detached"]);
        docker.until(&["exec", name, "ls", "/tmp"], "detached");
        docker.ok(&["rm", "-f", name]);
        let error = docker.fails(&["exec", name, "true"], 1);
        assert!(
            error.contains(&format!("No such container: {name}")),
            "{error}"
        );
    }
}

#[test]
fn logs_are_read_followed_and_timed() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let name = docker.name;
        let script = "seq 5; echo err >&2; read line; echo $line";
        docker.ok(&["run", "-di", "--name", name, IMAGE, "sh", "-c", script]);
        docker.until(&["logs", name], "1\n2\n3\n4\n5");
        let said = docker.run(&["logs", name]);
        assert_eq!(
            (said.out.as_str(), said.err.as_str()),
            ("1\n2\n3\n4\n5\n", "err\n")
        );
        let follower = docker.spawn(&["logs", "-f", name]);
        let said = docker.run_with(&["attach", name], "last\n");
        assert_eq!(said.out, "last\n");
        let followed = end(follower);
        assert_eq!(
            (followed.out.as_str(), followed.code),
            ("1\n2\n3\n4\n5\nlast\n", 0)
        );
        let timed = docker.ok(&["logs", "-t", "--tail", "1", name]);
        let (time, text) = timed.split_once(' ').expect("a time");
        assert_eq!(
            (time.len(), text),
            ("2006-01-02T15:04:05.000000000Z".len(), "last")
        );
        assert_eq!(docker.ok(&["logs", "--since", time, name]), "last");
        docker.ok(&["rm", "-f", name]);
    }
}

#[test]
fn a_terminal_has_the_size_of_the_clients() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        // busybox's stty says nothing, and succeeds, while there is no size.
        let script =
            "while test -z \"$(stty size 2>/dev/null)\"; do sleep 0.01; done; stty size; read key";
        // The other side of a terminal of our own.
        let shell = format!(
            "stty rows 33 cols 101; exec {} run --rm -it {IMAGE} sh -c '{script}'",
            docker.command(&[]).get_program().to_string_lossy()
        );
        let mut command = Command::new("script");
        command.args(["-qec", &shell, "/dev/null"]);
        for (key, value) in docker.command(&[]).get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script");
        let mut keyboard = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("33 101") {
            line.clear();
            let n = lines.read_line(&mut line).expect("output");
            assert!(n > 0, "it ended without a size");
        }
        keyboard.write_all(b"\n").expect("a key");
        assert!(child.wait().expect("end").success());
    }
}

#[test]
fn detach_keys_leave_the_container_running() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let shell = format!(
        "exec {} run --name stays -it --detach-keys q {IMAGE} sh -c 'echo ready; sleep 600'",
        docker.command(&[]).get_program().to_string_lossy()
    );
    let mut command = Command::new("script");
    command.args(["-qec", &shell, "/dev/null"]);
    for (key, value) in docker.command(&[]).get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("output") > 0, "it ended");
    }
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"q").expect("key");
    assert!(child.wait().expect("end").success());
    assert_eq!(
        docker.ok(&["inspect", "-f", "{{.State.Running}}", "stays"]),
        "true"
    );
}

#[test]
fn a_client_that_goes_away_ends_nothing() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let id = docker.ok(&["run", "-d", IMAGE, "sleep", "600"]);
    for words in [["wait", &id], ["attach", &id], ["stats", &id]] {
        let mut client = docker.spawn(&words);
        let mut stdin = client.stdin.take().expect("piped");
        let _ = stdin.write_all(b"x");
        client.kill().expect("kill");
        client.wait().expect("end");
    }
    assert_eq!(
        docker.ok(&["inspect", "-f", "{{.State.Running}}", &id]),
        "true"
    );
}
