//! From `create` to `delete`, step by step.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use berth_agent_sys::descriptor;
use serde_json::json;

use crate::support::{BOTH, Bundle, Runtime, code, has_mount_below, reap, until};

#[test]
fn the_command_waits_for_start_and_the_container_ends_with_it() {
    for runtime in BOTH {
        let bundle = Bundle::new(runtime, "touch /tmp/ran; echo out; echo err >&2; exit 7");
        let pid = bundle.create();
        assert_eq!(bundle.state()["status"], json!("created"), "{runtime:?}");
        assert!(!bundle.rootfs().join("tmp/ran").exists());
        bundle.start();
        assert_eq!(reap(pid), 7, "{runtime:?}");
        assert!(bundle.rootfs().join("tmp/ran").exists());
        assert_eq!(bundle.state()["status"], json!("stopped"));
        assert_eq!(bundle.output(), "out\n");
        assert!(
            !has_mount_below(bundle.dir.path()),
            "a mount is left on the machine"
        );
        bundle.works(&["delete", &bundle.id]);
        bundle.fails(&["state", &bundle.id]);
        let group = format!("/sys/fs/cgroup/pids/berth-conformance/{}", bundle.id);
        assert!(!fs::exists(group).expect("group"));
    }
}

#[test]
fn signals_reach_the_command_by_name_and_number() {
    for runtime in BOTH {
        for (signal, expected) in [("TERM", 3), ("SIGUSR1", 4), ("9", 137)] {
            let script = "trap 'exit 3' TERM; trap 'exit 4' USR1; touch /tmp/up; while :; do sleep 0.01; done";
            let bundle = Bundle::new(runtime, script);
            let pid = bundle.create();
            bundle.start();
            until("the traps are set", || {
                bundle.rootfs().join("tmp/up").exists()
            });
            assert_eq!(bundle.state()["status"], json!("running"));
            bundle.works(&["kill", &bundle.id, signal]);
            assert_eq!(reap(pid), expected, "{runtime:?} {signal}");
            // A container that has ended takes no signal.
            bundle.fails(&["kill", &bundle.id, signal]);
        }
    }
}

#[test]
fn all_processes_get_the_signal_if_asked() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(
            runtime,
            "sleep 1000 & touch /tmp/up; wait; touch /tmp/late; sleep 1000",
        );
        let namespaces = bundle.spec["linux"]["namespaces"]
            .as_array_mut()
            .expect("list");
        namespaces.retain(|namespace| namespace["type"] != "pid");
        let pid = bundle.create();
        bundle.start();
        until("it is up", || bundle.rootfs().join("tmp/up").exists());
        let members = format!(
            "/sys/fs/cgroup/pids/berth-conformance/{}/cgroup.procs",
            bundle.id
        );
        let count = || {
            fs::read_to_string(&members)
                .unwrap_or_default()
                .lines()
                .count()
        };
        until("both run", || count() == 2);
        bundle.works(&["kill", "--all", &bundle.id, "KILL"]);
        assert_eq!(reap(pid), 137);
        until("none is left", || {
            // The other is this process's child now.
            let flags = Some(nix::sys::wait::WaitPidFlag::WNOHANG);
            let _reaped = nix::sys::wait::waitpid(None::<nix::unistd::Pid>, flags);
            count() == 0
        });
    }
}

#[test]
fn a_container_that_was_never_started_goes_away_by_force() {
    for runtime in BOTH {
        for is_started in [false, true] {
            let bundle = Bundle::new(runtime, "sleep 1000");
            let pid = bundle.create();
            if is_started {
                bundle.start();
            }
            // The specification wants a failure as long as it is not stopped; runc removes one that was not started.
            if is_started || runtime == Runtime::Ours {
                bundle.fails(&["delete", &bundle.id]);
            }
            bundle.works(&["delete", "--force", &bundle.id]);
            assert_eq!(reap(pid), 137);
            bundle.fails(&["state", &bundle.id]);
            // Nothing to remove is no failure then.
            bundle.works(&["delete", "--force", &bundle.id]);
        }
    }
}

#[test]
fn a_terminal_is_handed_over() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(
            runtime,
            "tty; stty size; test -c /dev/console && echo console",
        );
        bundle.spec["process"]["terminal"] = json!(true);
        bundle.spec["process"]["consoleSize"] = json!({"height": 31, "width": 97});
        let socket = bundle.path("console");
        let listener = UnixListener::bind(&socket).expect("socket");
        let (status, error) =
            bundle.try_create(&["--console-socket", socket.to_str().expect("path")]);
        assert!(status.success(), "{runtime:?}: {error}");
        let (connection, _) = listener.accept().expect("connection");
        let (_, mut descriptors) = descriptor::receive(&connection, &mut [0; 64]).expect("message");
        let master = File::from(descriptors.pop().expect("a terminal"));
        bundle.start();
        assert_eq!(reap(bundle.pid()), 0);
        let mut seen = String::new();
        // Its end is an error of the kind that terminals give.
        let _end = std::io::Read::read_to_string(&mut &master, &mut seen);
        assert_eq!(
            seen.replace('\r', ""),
            "/dev/pts/0\n31 97\nconsole\n",
            "{runtime:?}"
        );
    }
}

#[test]
fn a_terminal_and_its_socket_go_together() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, "true");
        let (status, _) = bundle.try_create(&["--console-socket", "/nowhere"]);
        assert!(!status.success(), "{runtime:?}");
        bundle.spec["process"]["terminal"] = json!(true);
        let (status, _) = bundle.try_create(&[]);
        assert!(!status.success(), "{runtime:?}");
        bundle.fails(&["state", &bundle.id]);
    }
}

#[test]
fn descriptors_are_preserved_if_asked_and_only_those() {
    for runtime in BOTH {
        for (n, expected) in [("0", "0\n1\n2\n"), ("1", "0\n1\n2\n3\n")] {
            let bundle = Bundle::new(
                runtime,
                "ls /proc/$$/fd; [ ! -e /proc/self/fd/3 ] || cat <&3",
            );
            bundle.write_config();
            fs::write(bundle.path("given"), "through\n").expect("file");
            // The shell passes two files on; only the first is asked for.
            let (given, folder) = (bundle.path("given"), bundle.dir.path());
            let mut command = bundle.command(&["create", "--preserve-fds", n, "--bundle"]);
            command
                .arg(folder)
                .arg("--pid-file")
                .arg(bundle.path("pid"))
                .arg(&bundle.id);
            let mut shell = std::process::Command::new("/bin/sh");
            shell
                .args(["-c", "exec 3<\"$1\" 4<\"$1\"; shift; exec \"$@\"", "sh"])
                .arg(given);
            shell.arg(command.get_program()).args(command.get_args());
            shell
                .stdin(Stdio::null())
                .stdout(File::create(bundle.path("out")).expect("file"));
            assert_eq!(code(shell.status().expect("shell")), 0, "{runtime:?}");
            bundle.start();
            reap(bundle.pid());
            let expected = if n == "1" {
                format!("{expected}through\n")
            } else {
                expected.to_owned()
            };
            assert_eq!(bundle.output(), expected, "{runtime:?}");
        }
    }
}

#[test]
fn a_root_that_cannot_be_exchanged_is_moved() {
    for runtime in BOTH {
        let bundle = Bundle::new(runtime, "ls /; cat /proc/self/mountinfo | wc -l; echo $$");
        let (status, error) = bundle.try_create(&["--no-pivot"]);
        assert!(status.success(), "{runtime:?}: {error}");
        bundle.start();
        assert_eq!(reap(bundle.pid()), 0);
        let output = bundle.output();
        assert!(
            output.starts_with("bin\ndev\netc\nproc\nsys\ntmp\nwork\n"),
            "{runtime:?}: {output}"
        );
        assert!(output.ends_with("\n1\n"));
    }
}

/// CVE-2019-5736: what a container reaches as `/proc/PID/exe` is on a read-only mount.
#[test]
fn the_waiting_process_shows_no_writable_executable() {
    let bundle = Bundle::new(Runtime::Ours, "true");
    let pid = bundle.create();
    let path = format!("/proc/{pid}/exe");
    let executable = File::open(&path).expect("executable");
    let flags = nix::sys::statvfs::fstatvfs(&executable)
        .expect("mount")
        .flags();
    assert!(flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
    let error = File::options()
        .write(true)
        .open(&path)
        .expect_err("a writable executable");
    // The kernel looks at its being in use first.
    let kind = error.kind();
    assert!(matches!(
        kind,
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::ExecutableFileBusy
    ));
}

#[test]
fn a_creation_that_was_killed_leaves_what_delete_removes() {
    let mut bundle = Bundle::new(Runtime::Ours, "true");
    // The hook holds it up.
    let fifo = bundle.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("fifo");
    bundle.spec["hooks"] = json!({"createRuntime": [
        {"path": "/bin/sh", "args": ["sh", "-c", format!("echo x > {}; exec sleep 1000", fifo.display())]},
    ]});
    bundle.write_config();
    let folder = bundle.dir.path().to_str().expect("path");
    let mut child = bundle.command(&["create", "--bundle", folder, &bundle.id]);
    child.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().expect("create");
    let hook = File::open(&fifo).expect("the hook");
    assert!(hook.as_raw_fd() > 2);
    child.kill().expect("kill");
    child.wait().expect("end");
    bundle.works(&["delete", "--force", &bundle.id]);
    let group = format!("/sys/fs/cgroup/pids/berth-conformance/{}", bundle.id);
    assert!(!fs::exists(group).expect("group"));
    assert!(!bundle.path("state").join(&bundle.id).exists());
    // The hook is nobody's business any more but this test's.
    end_orphans("sleep");
}

/// Kills children of this process, which takes orphans, by the name of their program.
fn end_orphans(name: &str) {
    let own = std::process::id();
    let list = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    for pid in list
        .split_whitespace()
        .filter_map(|pid| pid.parse::<i32>().ok())
    {
        let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if command.trim() == name {
            let _gone = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }
}
