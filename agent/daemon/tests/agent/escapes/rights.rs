//! What processes may do: capabilities, descriptors, sockets, the agent's program, its folders.

use std::process::{Command, Output};

use berth_proto::v1::{self, ContainerConfig, HostConfig};

use super::{SECRET, exec, host_with_secret, import, run, script, words};
use crate::client::{IMAGE, command, sh};
use crate::host::{Host, berthd};
use crate::image::Odd;

/// CVE-2021-41091: a user of the host could walk to programs in containers that run as root.
#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_host_reach_nothing_of_a_container() {
    let (host, client, _) = host_with_secret().await;
    let folder = host.path("");
    // The tests' own folder would keep them out as well.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&folder, open).expect("permissions");
    let root = host.path("data").display().to_string();
    let mut config = command(&[
        "sh",
        "-c",
        "for d in /usr-tool /volume/tool; do cat /bin/busybox > $d; chmod 4755 $d || /bin/busybox chmod 4755 $d; done; echo ready; exec sleep 100",
    ]);
    config.host = Some(HostConfig {
        binds: vec!["shared:/volume".to_owned()],
        ..Default::default()
    });
    let id = client.run_detached("", config).await;
    crate::host::until("both are there", async || {
        client.log_text(&id).await.contains("ready")
    })
    .await;
    let find = |user: &[&str]| -> Output {
        let words = [user, &["find", &root, "-perm", "-4000", "-type", "f"]].concat();
        let mut command = host.enter(words[0]);
        command.args(&words[1..]).output().expect("find")
    };
    let seen = |output: &Output| String::from_utf8_lossy(&output.stdout).lines().count();
    assert_eq!(seen(&find(&["env"])), 2, "root sees both");
    let ordinary = [
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "--no-new-privs",
    ];
    assert_eq!(seen(&find(&ordinary)), 0);
    // Nor by a path that is known.
    let paths = find(&["env"]);
    for path in String::from_utf8_lossy(&paths.stdout).lines() {
        let mut test = host.enter(ordinary[0]);
        let status = test
            .args(&ordinary[1..])
            .args(["test", "-e", path])
            .status();
        assert!(!status.expect("test").success(), "{path}");
    }
    for part in ["data", "run"] {
        let mut list = host.enter(ordinary[0]);
        let listed = list.args(&ordinary[1..]).arg("ls").arg(host.path(part));
        assert!(!listed.output().expect("ls").status.success(), "{part}");
    }
}

/// CVE-2024-21626: a working directory that is a descriptor of the runtime led to the host.
#[tokio::test(flavor = "multi_thread")]
async fn a_working_directory_is_never_a_leaked_descriptor() {
    let (_host, client, secret) = host_with_secret().await;
    import(
        &client,
        "links:test",
        &[
            Odd::Link("self7", "/proc/self/fd/7"),
            Odd::Link("thread8", "/proc/thread-self/fd/8"),
        ],
    )
    .await;
    let look = format!(
        "for up in . .. ../.. ../../.. ../../../.. ../../../../.. ../../../../../..; do cat $up{secret}; done 2>/dev/null; true"
    );
    let id = client
        .run_detached("", with_image("links:test", &["sleep", "100"]))
        .await;
    let mut folders: Vec<String> = (0..24).map(|n| format!("/proc/self/fd/{n}")).collect();
    folders.extend(["/self7", "/thread8", "/proc/1/fd/5", "/proc/self/cwd/.."].map(str::to_owned));
    for folder in &folders {
        let mut options = words(&id, &["sh", "-c", &look]);
        options.working_dir.clone_from(folder);
        // That it is refused is right as well.
        if let Ok(ran) = exec(&client, options).await {
            assert!(!ran.stdout.contains(SECRET), "exec -w {folder}");
        }
    }
    for folder in folders.iter().skip(3).step_by(3) {
        let mut config = script("links:test", &look, HostConfig::default());
        config.working_dir.clone_from(folder);
        if let Ok(ran) = run(&client, config).await {
            assert!(!ran.stdout.contains(SECRET), "run -w {folder}");
        }
    }
    // The command itself may be looked for through a descriptor.
    for n in 3..12 {
        let path = format!("/proc/self/fd/{n}/../../../../../../..{secret}");
        let ran = exec(&client, words(&id, &["cat", &path])).await;
        assert!(!ran.is_ok_and(|ran| ran.stdout.contains(SECRET)), "{path}");
    }
}

/// CVE-2022-24769 and CVE-2022-29162: processes had inheritable capabilities.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_inherits_capabilities() {
    let (_host, client, _) = host_with_secret().await;
    let show = ["grep", "-E", "Cap(Inh|Prm|Eff|Amb)", "/proc/self/status"];
    let id = client.run_detached("", command(&["sleep", "100"])).await;
    for (user, privileged) in [("", false), ("app", false), ("", true), ("app", true)] {
        let mut config = command(&show);
        config.user = user.to_owned();
        config.host = Some(HostConfig {
            auto_remove: true,
            privileged,
            cap_add: vec!["NET_ADMIN".to_owned()],
            ..Default::default()
        });
        let ran = run(&client, config).await.expect("run");
        check_sets(&ran.stdout, user);
        let mut options = words(&id, &show);
        options.user = user.to_owned();
        options.privileged = privileged;
        let ran = exec(&client, options).await.expect("exec");
        check_sets(&ran.stdout, user);
    }
}

fn check_sets(status: &str, user: &str) {
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.expect(name).trim(), 16).expect("hexadecimal")
    };
    assert_eq!((set("CapInh:"), set("CapAmb:")), (0, 0), "{user}: {status}");
    let is_root = user.is_empty();
    assert_eq!(set("CapEff:") != 0, is_root, "{user}: {status}");
    assert_eq!(set("CapPrm:") != 0, is_root, "{user}: {status}");
}

/// CVE-2020-15257: containerd's keepers listened on abstract sockets, which a container with the
/// host's network could reach.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_on_an_abstract_socket() {
    let (host, client, _) = host_with_secret().await;
    let mut config = command(&["sh"]);
    config.open_stdin = true;
    config.host = Some(HostConfig {
        network_mode: "host".to_owned(),
        ..Default::default()
    });
    let id = client.create("", config).await.expect("create");
    let attached = client.attach(&id, true).await.expect("attach");
    client.start(&id).await.expect("start");
    let seen = exec(&client, words(&id, &["cat", "/proc/net/unix"]))
        .await
        .expect("exec");
    let socket = host.path("run/berthd.sock").display().to_string();
    assert!(seen.stdout.contains(&socket), "the host's: {}", seen.stdout);
    assert!(!seen.stdout.contains(" @"), "{}", seen.stdout);
    drop(attached);
}

/// CVE-2019-5736: the runtime's program could be written through `/proc/PID/exe`.
#[tokio::test(flavor = "multi_thread")]
async fn the_agents_program_cannot_be_overwritten_from_a_container() {
    let (_host, client, _) = host_with_secret().await;
    let before = digest();
    import(
        &client,
        "self:test",
        &[
            Odd::Link("bin/self", "/proc/self/exe"),
            Odd::File("bin/script", b"#!/proc/self/exe\n"),
        ],
    )
    .await;
    // Keeps every program of every other process open, and writes to it once that has ended.
    let attack = "while :; do for p in /proc/[0-9]*; do \
        case $(readlink $p/exe 2>/dev/null || /bin/busybox readlink $p/exe 2>/dev/null) in \
        /bin/busybox|'') ;; *) (exec 9<$p/exe && echo opened && while :; do echo pwned >/proc/self/fd/9 && echo WROTE; done) & ;; \
        esac; done; done 2>/dev/null";
    let mut config = with_image("self:test", &["sh", "-c", attack]);
    config.host = Some(HostConfig {
        cap_add: vec!["SYS_PTRACE".to_owned(), "DAC_READ_SEARCH".to_owned()],
        pids_limit: 100,
        ..Default::default()
    });
    let id = client.run_detached("", config).await;
    for program in ["/bin/self", "/proc/self/exe", "/bin/script", "/bin/true"] {
        for _ in 0..3 {
            // Whether it can run at all depends on how many processes the attack has left.
            drop(exec(&client, words(&id, &[program])).await);
        }
    }
    let ran = run(&client, with_image_once("self:test", &["/proc/self/exe"])).await;
    // The command is looked for when `/proc/self` is the container's own process already.
    assert!(
        !ran.is_ok_and(|ran| ran.stdout.contains("berthd")),
        "ran us"
    );
    let log = client.log_text(&id).await;
    assert!(!log.contains("WROTE"), "{log}");
    client.remove(&id, true, true).await.expect("remove");
    assert_eq!(digest(), before, "the agent's program has changed");
}

/// A container without a network of its own still sees no file of the host's `/proc`.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_processes_are_out_of_reach() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let configuration = host.path("berthd.json");
    let mut agent = agent_output(Command::new("pgrep").arg("-f").arg(configuration));
    agent.retain(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok());
    assert!(!agent.is_empty(), "the agent is there");
    let ran = run(
        &client,
        sh("for p in /proc/[0-9]*; do cat $p/cmdline; echo; done"),
    )
    .await
    .expect("run");
    assert!(!ran.stdout.contains("berthd"), "{}", ran.stdout);
}

fn agent_output(command: &mut Command) -> Vec<String> {
    let output = command.output().expect("pgrep");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

fn with_image(image: &str, words: &[&str]) -> ContainerConfig {
    ContainerConfig {
        image: image.to_owned(),
        ..command(words)
    }
}

fn with_image_once(image: &str, words: &[&str]) -> ContainerConfig {
    ContainerConfig {
        host: Some(HostConfig {
            auto_remove: true,
            ..Default::default()
        }),
        ..with_image(image, words)
    }
}

fn digest() -> Vec<u8> {
    let output = Command::new("sha256sum").arg(berthd()).output();
    output.expect("sha256sum").stdout
}

/// Commands with a terminal are confined as those without.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gives_no_further_descriptors() {
    let (_host, client, _) = host_with_secret().await;
    let id = client.run_detached("", command(&["sleep", "100"])).await;
    let list = [
        "sh",
        "-c",
        "for f in /proc/self/fd/*; do echo ${f##*/}; done",
    ];
    for tty in [false, true] {
        let options = v1::ExecOptions {
            tty,
            ..words(&id, &list)
        };
        let ran = exec(&client, options).await.expect("exec");
        let mut numbers: Vec<&str> = ran.stdout.split_whitespace().collect();
        numbers.sort_unstable();
        // The fourth is the folder that is being listed.
        assert_eq!(numbers, ["0", "1", "2", "3"], "tty {tty}");
        let config = ContainerConfig {
            tty,
            ..with_image_once(IMAGE, &list)
        };
        let ran = run(&client, config).await.expect("run");
        let mut numbers: Vec<&str> = ran.stdout.split_whitespace().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, ["0", "1", "2", "3"], "tty {tty}");
    }
}
