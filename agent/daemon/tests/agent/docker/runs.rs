//! Containers through the docker CLI: their life, lists and events.

use serde_json::Value;

use super::Docker;
use crate::client::IMAGE;
use crate::host::Host;

fn object(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_client_finds_out_who_answers() {
    let host = Host::new();
    for docker in Docker::each(&host) {
        let version = object(&docker.ok(&["version", "--format", "{{json .Server}}"]));
        assert_eq!(version["Os"], "linux");
        assert_eq!(version["Platform"]["Name"], "berth");
        let info = object(&docker.ok(&["info", "--format", "{{json .}}"]));
        assert_eq!(info["Driver"], "overlayfs");
        assert_eq!(info["Swarm"]["LocalNodeState"], "inactive");
        assert!(info["ServerErrors"].is_null(), "{info}");
        let error = docker.fails(&["node", "ls"], 1);
        assert!(
            error.contains("This node is not a swarm manager."),
            "{error}"
        );
        assert_eq!(docker.ok(&["plugin", "ls", "-q"]), "");
    }
}

#[test]
fn run_gives_output_and_codes_as_docker_does() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let script = "echo out; echo err >&2; exit 3";
        let said = docker.run(&["run", "--rm", IMAGE, "sh", "-c", script]);
        assert_eq!(
            (said.out.as_str(), said.err.as_str(), said.code),
            ("out\n", "err\n", 3)
        );
        let said = docker.run_with(
            &["run", "-i", "--rm", IMAGE, "sh", "-c", "cat; echo end"],
            "typed\n",
        );
        assert_eq!((said.out.as_str(), said.code), ("typed\nend\n", 0));
        for (command, code) in [("no-such-command", 127), ("/etc/not-executable", 126)] {
            let error = docker.fails(&["run", "--rm", IMAGE, command], code);
            assert!(error.contains(command), "{error}");
        }
        let error = docker.fails(&["run", "--rm", "--pull", "never", "no-such-image"], 125);
        assert!(
            error.contains("No such image: no-such-image:latest"),
            "{error}"
        );
        assert_eq!(docker.ok(&["ps", "-aq"]), "", "what --rm left");
    }
}

#[test]
fn a_container_lives_as_its_client_wants() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let name = docker.name;
        let id = docker.ok(&[
            "run", "-d", "--name", name, "-l", "a=b", IMAGE, "sleep", "600",
        ]);
        assert_eq!(
            docker.ok(&["ps", "--no-trunc", "-q", "--filter", "label=a=b"]),
            id
        );
        let format = "{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Networks}}";
        let line = docker.ok(&["ps", "--format", format]);
        assert_eq!(line, format!("{name} {IMAGE} \"sleep 600\" running bridge"));
        let error = docker.fails(&["run", "--name", name, IMAGE], 125);
        assert!(
            error.contains(&format!("The container name \"/{name}\" is already in use")),
            "{error}"
        );
        let error = docker.fails(&["rm", name], 1);
        assert!(
            error.contains("stop the container before removing or force remove"),
            "{error}"
        );
        docker.ok(&["pause", name]);
        assert_eq!(
            docker.ok(&["inspect", "-f", "{{.State.Status}}", name]),
            "paused"
        );
        docker.fails(&["exec", name, "true"], 1);
        docker.ok(&["unpause", name]);
        docker.ok(&["rename", name, "renamed"]);
        docker.ok(&["update", "--pids-limit", "50", "renamed"]);
        assert_eq!(
            docker.ok(&["inspect", "-f", "{{.HostConfig.PidsLimit}}", &id]),
            "50"
        );
        let top = docker.ok(&["top", "renamed"]);
        assert!(top.contains("sleep 600"), "{top}");
        let stats = docker.ok(&[
            "stats",
            "--no-stream",
            "--format",
            "{{.Name}} {{.PIDs}}",
            "renamed",
        ]);
        assert_eq!(stats, "renamed 1");
        docker.ok(&["restart", "-t", "0", "renamed"]);
        docker.ok(&["kill", "renamed"]);
        assert_eq!(docker.ok(&["wait", "renamed"]), "137");
        let error = docker.fails(&["kill", "renamed"], 1);
        assert!(error.contains("is not running"), "{error}");
        docker.ok(&["stop", "renamed"]);
        docker.ok(&["start", "renamed"]);
        docker.ok(&["rm", "-f", "renamed"]);
        let error = docker.fails(&["inspect", "renamed"], 1);
        assert!(
            error.to_lowercase().contains("no such object: renamed"),
            "{error}"
        );
    }
}

#[test]
fn ports_volumes_and_limits_are_what_was_asked_for() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let name = docker.name;
        docker.ok(&[
            "run",
            "-d",
            "--name",
            name,
            "-p",
            "127.0.0.1:8080:80/tcp",
            "-v",
            "data:/data",
            "-m",
            "64m",
            "--tmpfs",
            "/run:size=1m",
            "--restart",
            "on-failure:3",
            "-e",
            "A=b",
            IMAGE,
            "sleep",
            "600",
        ]);
        assert_eq!(docker.ok(&["port", name]), "80/tcp -> 127.0.0.1:8080");
        let inspected = object(&docker.ok(&["inspect", name]));
        let container = &inspected[0];
        assert_eq!(container["HostConfig"]["Memory"], 64 << 20);
        assert_eq!(
            container["HostConfig"]["RestartPolicy"]["Name"],
            "on-failure"
        );
        assert_eq!(container["Mounts"][0]["Name"], "data");
        assert_eq!(docker.ok(&["volume", "ls", "-q"]), "data");
        let volume = object(&docker.ok(&["volume", "inspect", "data"]));
        assert_eq!(volume[0]["Driver"], "local");
        let error = docker.fails(&["volume", "rm", "data"], 1);
        assert!(error.contains("volume is in use"), "{error}");
        assert_eq!(
            docker.ok(&["exec", name, "sh", "-c", "cat /data/from-image; echo $A"]),
            "seed\nb"
        );
        docker.ok(&["rm", "-f", name]);
        docker.ok(&["volume", "rm", "data"]);
        let error = docker.fails(&["volume", "rm", "data"], 1);
        assert!(error.to_lowercase().contains("no such volume"), "{error}");
    }
}

#[test]
fn events_tell_a_run_in_order() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    docker.ok(&["run", "--rm", "--name", "told", IMAGE, "true"]);
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let until = format!("{}", until.expect("a time").as_secs() + 1);
    let words = [
        "events",
        "--since",
        "1",
        "--until",
        &until,
        "--filter",
        "type=container",
    ];
    let text = docker.ok(&[&words[..], &["--format", "{{.Action}}"]].concat());
    let actions: Vec<&str> = text.lines().collect();
    assert_eq!(actions, ["create", "attach", "start", "die", "destroy"]);
    let text = docker.ok(&[
        &words[..],
        &["--format", "{{json .}}", "--filter", "event=die"],
    ]
    .concat());
    let die = object(&text);
    assert_eq!(die["Actor"]["Attributes"]["exitCode"], "0");
    assert_eq!(die["Actor"]["Attributes"]["name"], "told");
    let error = docker.fails(&["events", "--until", &until, "--filter", "nonsense=1"], 1);
    assert!(error.contains("invalid filter 'nonsense'"), "{error}");
}

#[test]
fn lists_are_filtered_and_pruned() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    docker.fails(&["run", "--name", "ended", IMAGE, "false"], 1);
    docker.ok(&["create", "--name", "made", IMAGE]);
    let names = |words: &[&str]| docker.ok(&[&["ps", "--format", "{{.Names}}"], words].concat());
    assert_eq!(names(&[]), "");
    assert_eq!(names(&["-a"]), "made\nended");
    assert_eq!(names(&["-a", "-f", "exited=1"]), "ended");
    assert_eq!(names(&["-n", "1"]), "made");
    let error = docker.fails(&["ps", "-f", "nonsense=1"], 1);
    assert!(error.contains("invalid filter 'nonsense'"), "{error}");
    let pruned = docker.ok(&["container", "prune", "-f"]);
    assert!(pruned.contains("Deleted Containers:"), "{pruned}");
    assert_eq!(names(&["-a"]), "");
}
