//! Flags and names of commands on containers, as a machine takes them.

use berth_tests_support::Operator;

#[test]
fn flags_of_run_are_seen_in_the_container_and_by_inspect() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let words = [
        "run",
        "-d",
        "--name=box1",
        "--ulimit=nofile=128:256",
        "--add-host=deck=10.1.2.3",
        "--domainname=example",
        "--group-add=20",
        "--label=a=b c",
        "-v=/own",
        "--stop-signal=KILL",
        "box",
        "sleep",
        "600",
    ];
    let _ = machine.berth(&words).success();
    let run = |line: &str| machine.berth(&["exec", "box1", "sh", "-c", line]).success();
    assert_eq!(run("ulimit -Sn; ulimit -Hn"), "128\n256");
    assert!(run("cat /etc/hosts").contains("10.1.2.3\tdeck"));
    assert!(run("id -G").split(' ').any(|group| group == "20"));
    assert!(run("cat /proc/mounts").contains(" /own "));
    let inspect = |format: &str| machine.berth(&["inspect", "-f", format, "box1"]).success();
    assert_eq!(
        inspect(
            "{{.State.Running}} {{index .Config.Labels \"a\"}}[{{index .Config.Labels \"x\"}}]"
        ),
        "true b c[]"
    );
    assert_eq!(
        inspect("{{.State.Health}} {{.HostConfig.Binds}}"),
        "<nil> []"
    );
    let _ = machine
        .berth(&["container", "inspect", "-f", "{{.Nope}}", "box1"])
        .exits_with(1)
        .fails_saying(&["executing \"\" at <.Nope>: map has no entry for key \"Nope\""]);
}

#[test]
fn several_names_are_all_done_under_short_and_long_names() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    for name in ["aa", "bb"] {
        let words = [
            "container",
            "run",
            "-d",
            "--name",
            name,
            "box",
            "sleep",
            "600",
        ];
        let _ = machine.berth(&words).success();
    }
    let stopped = machine
        .berth(&["stop", "-t", "0", "aa", "nobody", "bb"])
        .exits_with(1);
    assert_eq!(stopped.stdout().trim_end(), "aa\nbb");
    assert_eq!(
        machine
            .berth(&["container", "ls", "-aq", "--filter", "status=exited"])
            .success()
            .lines()
            .count(),
        2
    );
    assert_eq!(machine.berth(&["wait", "aa", "bb"]).success(), "137\n137");
    let removed = machine
        .berth(&["rm", "-f", "aa", "nobody", "bb"])
        .exits_with(0);
    assert_eq!(removed.stdout().trim_end(), "aa\nbb");
    assert_eq!(machine.berth(&["ps", "-aq"]).success(), "");
}

#[test]
fn an_id_file_is_taken_back_when_there_is_no_container() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let path = operator.home().join("id");
    let file = format!("--cidfile={}", path.display());
    let _ = machine
        .berth(&["run", &file, "--pull=never", "absent"])
        .exits_with(125);
    assert!(!path.exists());
    let _ = machine.berth(&["run", &file, "box", "true"]).success();
    let id = std::fs::read_to_string(&path).expect("the id was written");
    assert_eq!(
        machine
            .berth(&["inspect", "-f", "{{.HostConfig.ContainerIDFile}}", &id])
            .success(),
        path.display().to_string()
    );
    let _ = machine
        .berth(&["run", &file, "box", "true"])
        .exits_with(125)
        .fails_saying(&["container ID file found, make sure the other container isn't running"]);
}
