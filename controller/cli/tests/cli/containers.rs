//! Containers, without a terminal.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use berth_proto::v1::ContainerConfig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Place};

#[test]
fn exit_codes_of_containers_and_of_berth_are_told_apart() {
    let place = Place::new();
    for (words, code) in [
        (["exit", "0"], 0),
        (["exit", "3"], 3),
        (["exit", "137"], 137),
        (["not-there", ""], 127),
        (["not-a-program", ""], 126),
    ] {
        let ended = place.run(&[&["run", "--rm", "box"], &words[..]].concat());
        assert_eq!(ended.code, code, "{ended:?}");
    }
    assert!(
        place.agent.seen.with(|state| state.containers.is_empty()),
        "--rm left something"
    );
    place
        .run(&["run", "box", "vanish"])
        .fails(125, "ended the conversation");
    place
        .run(&["run", "-p", "99999:80", "box"])
        .fails(125, "invalid hostPort: 99999");
    place
        .run(&["run", "--env-file", "/nope", "box"])
        .fails(125, "open /nope");
}

#[test]
fn output_goes_to_the_stream_it_was_written_to() {
    let place = Place::new();
    let ended = place.run(&["run", "--rm", "box", "say", "out\n", "err\n"]);
    assert_eq!(ended.stdout, "out\n");
    assert!(ended.stderr.ends_with("err\n") && ended.stderr.contains("WARNING: no swap limit"));
    let ended = place.run(&[
        "run", "-a", "stderr", "--rm", "box", "say", "out\n", "err\n",
    ]);
    assert_eq!(ended.code, 0);
}

#[test]
fn input_is_passed_on_to_its_end() {
    let place = Place::new();
    let text = "line\n".repeat(100_000);
    assert_eq!(
        place
            .run_with(&["run", "-i", "--rm", "box", "cat"], &text)
            .success(),
        text
    );
    assert_eq!(
        place.run(&["run", "-i", "--rm", "box", "cat"]).success(),
        ""
    );
    place
        .run(&["run", "-d", "--name", "life", "box", "cat"])
        .success();
    assert_eq!(
        place
            .run_with(&["exec", "-i", "life", "cat"], "x")
            .success(),
        "x"
    );
}

#[test]
fn signals_are_passed_on() {
    let place = Place::new();
    let mut child = place
        .command(&["run", "--rm", "box", "signal"])
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGUSR1).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "USR1");
    assert_eq!(Ended::of(child).code, 42);
}

#[test]
fn a_reader_that_goes_away_is_no_error_to_talk_about() {
    let place = Place::new();
    let mut child = place
        .command(&["run", "-i", "box", "cat"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    // The pipe may break while we write into it, which is the point.
    let _ = input.write_all("line\n".repeat(100_000).as_bytes());
    drop(input);
    let ended = Ended::of(child);
    assert_eq!(ended.code, 141, "{ended:?}");
    assert!(!ended.stderr.contains("berth:"), "{ended:?}");
}

#[test]
fn a_missing_image_is_pulled_on_standard_error() {
    let place = Place::new();
    let ended = place.run(&["run", "--rm", "absent", "say", "out", ""]);
    assert_eq!(ended.stdout, "out", "{ended:?}");
    let expected = "Unable to find image 'absent:latest' locally\n\
                    latest: Pulling from library/absent\n\
                    0123456789ab: Pulling fs layer\n\
                    0123456789ab: Verifying Checksum\n\
                    0123456789ab: Download complete\n\
                    0123456789ab: Pull complete\n\
                    Digest: sha256:00\n\
                    Status: Downloaded newer image for absent:latest\n";
    assert!(ended.stderr.starts_with(expected), "{}", ended.stderr);

    let place = Place::new();
    place
        .run(&["run", "--pull", "never", "absent"])
        .fails(125, "No such image: absent:latest");
    place.run(&["run", "--pull=always", "box"]).success();
    assert_eq!(place.agent.seen.with(|state| state.pulled.len()), 1);
    place
        .run(&["run", "absent-everywhere"])
        .fails(125, "manifest unknown");
}

/// Creates a container with these options; returns what the agent was asked for.
fn created(options: &[&str]) -> ContainerConfig {
    let place = Place::new();
    let id = place.run(&[&["run", "-d"], options].concat()).success();
    let container = place
        .agent
        .seen
        .with(|state| state.containers[id.trim_end()].clone());
    assert!(*container.started.borrow());
    container.config
}

#[test]
fn options_of_the_process_reach_the_agent() {
    let config = created(&[
        "-it",
        "-e",
        "A=1",
        "-w",
        "/w",
        "-u",
        "1:2",
        "--entrypoint",
        "",
        "--expose",
        "90-91",
        "-h",
        "deck",
        "-l",
        "k=v",
        "--stop-signal",
        "INT",
        "--stop-timeout",
        "3",
        "box",
        "-x",
        "--name",
        "word",
    ]);
    assert_eq!(config.command, ["-x", "--name", "word"]);
    assert_eq!(config.entrypoint, [""]);
    assert_eq!(config.env, ["A=1"]);
    assert!(config.tty && config.open_stdin && !config.stdin_once);
    assert_eq!(
        (config.hostname.as_str(), config.user.as_str()),
        ("deck", "1:2")
    );
    assert_eq!(
        (config.working_dir.as_str(), config.labels["k"].as_str()),
        ("/w", "v")
    );
    assert_eq!(config.exposed_ports, ["90/tcp", "91/tcp"]);
    assert_eq!(
        (config.stop_signal.as_str(), config.stop_timeout_seconds),
        ("INT", Some(3))
    );
}

#[test]
fn options_of_the_surroundings_reach_the_agent() {
    let options = [
        "--rm=false",
        "-v",
        "data:/data",
        "-p",
        "127.0.0.1:8080:80/udp",
        "-P",
        "--network=none",
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--read-only",
        "-m",
        "64m",
        "--cpus",
        "1.5",
        "-c",
        "512",
        "--pids-limit",
        "-1",
        "--tmpfs",
        "/t",
        "--device",
        "/dev/fuse",
        "--dns",
        "1.1.1.1",
        "--add-host",
        "a:1.2.3.4",
        "--init",
        "--runtime",
        "runc",
        "--shm-size",
        "1m",
        "--privileged",
        "box",
    ];
    let host = created(&options).host.unwrap();
    assert_eq!(host.binds, ["data:/data"]);
    let port = &host.port_bindings[0];
    assert_eq!(
        (port.host_port, port.container_port, port.protocol.as_str()),
        (8080, 80, "udp")
    );
    assert_eq!(
        (host.memory_bytes, host.nano_cpus),
        (64 << 20, 1_500_000_000)
    );
    assert_eq!(
        (host.cpu_shares, host.pids_limit, host.shm_size_bytes),
        (512, -1, 1 << 20)
    );
    assert!(
        host.publish_all_ports
            && host.privileged
            && host.init == Some(true)
            && host.read_only_rootfs
    );
    assert!(!host.auto_remove);
    assert_eq!(
        (host.network_mode.as_str(), host.runtime.as_str()),
        ("none", "runc")
    );
    assert_eq!(host.security_opt, ["no-new-privileges"]);
    assert_eq!(
        (host.cap_add, host.cap_drop),
        (vec!["NET_ADMIN".into()], vec!["ALL".into()])
    );
    assert_eq!(
        (host.tmpfs, host.devices),
        (vec!["/t".into()], vec!["/dev/fuse".into()])
    );
    assert_eq!(
        (host.dns, host.extra_hosts),
        (vec!["1.1.1.1".into()], vec!["a:1.2.3.4".into()])
    );
}

#[test]
fn the_id_file_of_another_container_is_left_alone() {
    let place = Place::new();
    let path = place.home.path().join("id");
    let path = path.to_str().unwrap();
    let id = place
        .run(&["run", "-d", "--cidfile", path, "box"])
        .success();
    assert_eq!(std::fs::read_to_string(path).unwrap(), id.trim_end());
    place
        .run(&["run", "-d", "--cidfile", path, "box"])
        .fails(125, "container ID file found");
    std::fs::remove_file(path).unwrap();
    place
        .run(&["run", "--cidfile", path, "--pull", "never", "absent"])
        .fails(125, "No such image");
    assert!(
        !std::path::Path::new(path).exists(),
        "a container that was not made has no id"
    );
}

#[test]
fn several_containers_are_done_one_by_one() {
    let place = Place::new();
    place.run(&["run", "-d", "--name", "a", "box"]).success();
    place.run(&["run", "-d", "--name", "b", "box"]).success();
    for verb in ["stop", "start", "restart", "kill", "rm"] {
        let ended = place.run(&[verb, "a", "nobody", "b"]);
        assert_eq!(ended.stdout, "a\nb\n", "{verb}");
        ended.fails(1, "berth: No such container: nobody\n  hint: `berth ps -a`");
    }
}

#[test]
fn lists_logs_and_facts_are_shown() {
    let place = Place::new();
    place
        .run(&["run", "-d", "--name", "web", "box", "signal"])
        .success();
    let ps = place.run(&["ps"]).success();
    assert!(
        ps.starts_with("CONTAINER ID   IMAGE     COMMAND    CREATED"),
        "{ps}"
    );
    assert_eq!(
        place
            .run(&["ps", "-q", "--no-trunc"])
            .success()
            .trim_end()
            .len(),
        64
    );
    assert_eq!(
        place
            .run(&["ps", "--format", "{{.Names}}: {{.Status}}"])
            .success(),
        "web: Up 2 minutes\n"
    );
    place
        .run(&["ps", "--format", "{{.Nope}}"])
        .fails(1, "failed to execute template: template: :1:2: executing");

    let logs = place.run(&["logs", "web"]);
    assert_eq!(
        (logs.stdout.as_str(), logs.stderr.as_str()),
        ("out\n", "err\n")
    );
    assert_eq!(
        place.run(&["logs", "-t", "web"]).success(),
        "2023-11-14T22:13:20.000000007Z out\n"
    );
    place
        .run(&["logs", "--since", "nonsense", "web"])
        .fails(1, "failed to parse value as time");

    assert_eq!(
        place.run(&["inspect", "-f", "{{.Name}}", "web"]).success(),
        "/web\n"
    );
    assert_eq!(
        place
            .run(&["inspect", "-f", "{{.RepoTags}}", "box"])
            .success(),
        "[box:latest]\n"
    );
    let ended = place
        .run(&["inspect", "nobody"])
        .fails(1, "No such object: nobody");
    assert_eq!(ended.stdout, "[]\n");
    place
        .run(&["inspect", "--type", "image", "web"])
        .fails(1, "No such image: web");

    assert!(
        place
            .run(&["version"])
            .success()
            .contains("\n  Version:          9.8.7\n")
    );
    assert_eq!(
        place
            .run(&["info", "-f", "{{.Name}} {{.Containers}}"])
            .success(),
        "deck 3\n"
    );
    let info = place.run(&["info"]);
    assert!(
        info.stdout.contains(" Total Memory: 2GiB\n"),
        "{}",
        info.stdout
    );
    assert!(info.stderr.contains("WARNING: No swap limit support"));
}
