//! What `berth run` and its kin do, on a machine over the network.

use berth_tests_support::{Operator, wait_until};
use nix::sys::signal::Signal;

#[test]
fn run_ends_with_the_code_that_docker_would_give() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let cases: [(&[&str], i32); 7] = [
        (&["run", "--rm", "box", "true"], 0),
        (&["run", "--rm", "box", "sh", "-c", "exit 42"], 42),
        (
            &[
                "run",
                "--rm",
                "box",
                "sh",
                "-c",
                "sh -c 'kill -9 $$'; exit $?",
            ],
            137,
        ),
        (&["run", "--rm", "box", "no-such-command"], 127),
        (&["run", "--rm", "box", "/etc/passwd"], 126),
        (&["run", "--rm", "--name", "bad name", "box", "true"], 125),
        (&["run", "--no-such-flag", "box"], 125),
    ];
    for (words, code) in cases {
        let _ = machine.berth(words).exits_with(code);
    }
    assert_eq!(
        machine.berth(&["ps", "-aq"]).success(),
        "",
        "--rm removed each of them"
    );
    let _ = machine
        .berth(&["logs", "nobody"])
        .exits_with(1)
        .fails_saying(&["No such container: nobody"]);
}

#[test]
fn options_of_run_reach_the_process() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let run = |words: &[&str]| machine.berth(&[&["run", "--rm"], words].concat()).success();
    assert_eq!(
        run(&["-e", "A=1", "-e", "B=2 3", "box", "sh", "-c", "echo $A $B"]),
        "1 2 3"
    );
    assert_eq!(run(&["-w", "/tmp/new", "box", "pwd"]), "/tmp/new");
    assert_eq!(
        run(&["-u", "user:staff", "box", "id"]),
        "uid=1000(user) gid=50(staff) groups=50(staff)"
    );
    assert_eq!(run(&["--entrypoint", "echo", "box", "a", "b"]), "a b");
    assert_eq!(run(&["--hostname", "deck", "box", "hostname"]), "deck");
    assert_eq!(
        run(&["--network", "none", "box", "ls", "/sys/class/net"]),
        "lo"
    );
    assert_eq!(
        run(&["--network", "host", "box", "cat", "/etc/hostname"]),
        machine.ssh("hostname").success()
    );
    assert_eq!(
        run(&[
            "-m",
            "32m",
            "box",
            "sh",
            "-c",
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
        ]),
        "33554432"
    );
    assert!(run(&["--runtime", "/usr/sbin/runc", "box", "echo", "by runc"]).contains("by runc"));
}

#[test]
fn volumes_keep_their_data_and_binds_show_the_machine() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let run = |words: &[&str]| machine.berth(&[&["run", "--rm"], words].concat()).success();
    run(&[
        "-v",
        "data:/data",
        "box",
        "sh",
        "-c",
        "echo kept >/data/file",
    ]);
    assert_eq!(
        run(&["-v", "data:/mnt:ro", "box", "cat", "/mnt/file"]),
        "kept"
    );
    let denied = machine.berth(&[
        "run",
        "--rm",
        "-v",
        "data:/mnt:ro",
        "box",
        "touch",
        "/mnt/file",
    ]);
    let _ = denied.fails_saying(&["Read-only file system"]);
    machine
        .ssh("mkdir /srv/shared && echo there >/srv/shared/file")
        .success();
    assert_eq!(
        run(&["-v", "/srv/shared:/here", "box", "cat", "/here/file"]),
        "there"
    );
    assert_eq!(
        run(&["-v", "/srv/shared/file:/one", "box", "cat", "/one"]),
        "there"
    );
}

#[test]
fn input_signals_and_terminals_pass_through() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");

    let mut cat = machine.start(&["run", "--rm", "-i", "box", "cat"]);
    std::io::Write::write_all(&mut cat.input().unwrap(), b"through and back").unwrap();
    assert_eq!(cat.outcome().success(), "through and back");

    let trap = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let waiting = machine.start(&["run", "--rm", "box", "sh", "-c", trap]);
    wait_until("the trap is set", || {
        waiting.stdout_so_far().contains("ready")
    });
    waiting.signal(Signal::SIGTERM);
    let ended = waiting.outcome().exits_with(5);
    assert!(ended.stdout().contains("got it"));

    let tty = machine.berth(&[
        "run",
        "--rm",
        "-t",
        "box",
        "sh",
        "-c",
        "test -t 0 && test -t 1 && tty",
    ]);
    assert!(tty.success().contains("/dev/pts/"));
    let _ = machine
        .berth(&["run", "--rm", "box", "test", "-t", "1"])
        .exits_with(1);
}

#[test]
fn large_output_arrives_whole_and_in_order() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let said = machine
        .berth(&["run", "--rm", "box", "seq", "1", "200000"])
        .success();
    let mut lines = said.lines();
    assert!((1..=200_000).all(|n: u32| lines.next() == Some(n.to_string().as_str())));
    assert_eq!(lines.next(), None);
}

#[test]
fn a_container_lives_through_its_stations() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let id = machine
        .berth(&[
            "run",
            "-d",
            "--name",
            "life",
            "--label",
            "a=b",
            "box",
            "sh",
            "-c",
            "echo hi; sleep 600",
        ])
        .success();
    assert_eq!(id.len(), 64);
    assert_eq!(
        machine.berth(&["exec", "life", "echo", "inside"]).success(),
        "inside"
    );
    let _ = machine
        .berth(&["exec", "life", "sh", "-c", "exit 9"])
        .exits_with(9);
    let _ = machine
        .berth(&["run", "--name", "life", "box", "true"])
        .exits_with(125)
        .fails_saying(&["already in use"]);
    let _ = machine
        .berth(&["rm", "life"])
        .fails_saying(&["container is running"]);
    machine.berth(&["stop", "-t", "0", "life"]).success();
    let state = [
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}}",
        "life",
    ];
    assert_eq!(machine.berth(&state).success(), "exited 137");
    machine.berth(&["start", "life"]).success();
    assert!(machine.berth(&state).success().starts_with("running"));
    wait_until("both starts are in the log", || {
        machine.berth(&["logs", "life"]).success() == "hi\nhi"
    });
    machine.berth(&["kill", "life"]).success();
    wait_until("it is dead", || {
        machine.berth(&state).success() == "exited 137"
    });
    machine.berth(&["rm", &id[..12]]).success();
    let _ = machine.berth(&["inspect", "life"]).exits_with(1);
}

#[test]
fn published_ports_answer_from_everywhere() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let other = operator.machine("other");
    machine.import_busybox("box");
    let serve = "echo deck >/www/index.html; exec httpd -f -p 80 -h /www";
    machine
        .berth(&[
            "run", "-d", "--name", "web", "-p", "8080:80", "box", "sh", "-c", serve,
        ])
        .success();
    let from_here = format!("wget -qO- http://{}:8080/", machine.ip());
    let fetch = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        berth_tests_support::Outcome::of(std::process::Command::new("busybox").args(words))
    };
    wait_until("this host gets the page", || {
        fetch(&from_here).code() == Some(0)
    });
    assert_eq!(
        other.ssh(&format!("busybox {from_here}")).success(),
        "deck",
        "another machine"
    );
    assert_eq!(
        machine
            .ssh("busybox wget -qO- http://127.0.0.1:8080/")
            .success(),
        "deck",
        "loopback"
    );
    assert_eq!(
        machine.ssh(&format!("busybox {from_here}")).success(),
        "deck",
        "its own address"
    );
    let hairpin = machine.berth(&["exec", "web", "sh", "-c", &from_here]);
    assert_eq!(hairpin.success(), "deck", "the container itself");
    let taken = machine.berth(&["run", "-d", "-p", "8080:80", "box", "sleep", "9"]);
    let _ = taken.exits_with(125).fails_saying(&["8080"]);
    machine.berth(&["rm", "-f", "web"]).success();
    machine
        .berth(&["run", "--rm", "-p", "8080:80", "box", "true"])
        .success();
}
