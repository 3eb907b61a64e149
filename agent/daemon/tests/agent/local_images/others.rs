//! Archives of Docker and Podman come in here, and those of this engine come in there.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::IMAGE;
use crate::host::{Host, until};
use crate::image;

/// A real dockerd in the namespaces of a host.
struct Docker {
    socket: String,
    daemon: Child,
}

impl Docker {
    async fn start(host: &Host) -> Self {
        let path = |name: &str| host.path(&format!("docker/{name}")).display().to_string();
        std::fs::create_dir(host.path("docker")).expect("folder");
        let socket = format!("unix://{}", path("sock"));
        let daemon = host
            .enter("dockerd")
            .args(["--iptables=false", "--bridge=none", "--host", &socket])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dockerd");
        let docker = Self { socket, daemon };
        until("dockerd answers", async || {
            let asked = docker.command(&["version"]).output().expect("docker");
            asked.status.success()
        })
        .await;
        docker
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_HOST", &self.socket)
            .args(words);
        command
    }

    fn run(&self, words: &[&str], input: &[u8]) -> Vec<u8> {
        run(&mut self.command(words), input)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.daemon.id()).expect("pid"));
        // In order, so that it ends its own containerd.
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.daemon.wait();
    }
}

/// Runs a command to its end and returns what it prints.
fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("program");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("output");
    writer.join().expect("writer");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.stdout
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_go_to_docker_and_come_from_it() {
    let host = Host::new();
    let client = host.client().await;
    let docker = Docker::start(&host).await;
    // From there: two images, one above the other, with two names.
    let change = ["import", "--change", "LABEL a=b", "-", "theirs:1"];
    docker.run(&change, &image::busybox());
    docker.run(&["tag", "theirs:1", "team/theirs:2"], b"");
    let archive = docker.run(&["save", "theirs:1", "team/theirs:2"], b"");
    let loaded = client.load(&archive).await.expect("loaded");
    let id = text(docker.run(&["image", "inspect", "-f", "{{.Id}}", "theirs:1"], b""));
    assert_eq!((loaded.len(), &loaded[0].id), (1, &id));
    assert_eq!(
        client.image_names(&["label=a=b"], "").await,
        ["team/theirs:2", "theirs:1"]
    );
    // And back, with a layer of ours above theirs.
    let script = "busybox rm /data/from-image; echo 1 > /etc/own";
    let grown = client.grow("theirs:1", script, "ours:1").await;
    client.import().await;
    let archive = client.save(&["ours:1", IMAGE]).await.expect("saved");
    let said = text(docker.run(&["load"], &archive));
    assert_eq!(said, format!("Loaded image: ours:1\nLoaded image: {IMAGE}"));
    let there = text(docker.run(&["image", "inspect", "-f", "{{.Id}}", "ours:1"], b""));
    assert_eq!(there, grown);
    // What it makes of that is what we have.
    let archive = docker.run(&["save", "ours:1"], b"");
    client.rmi("ours:1", false).await.expect("removed");
    let again = client.load(&archive).await.expect("loaded");
    assert_eq!(again[0].id, grown);
    let mut look = crate::client::sh("ls /data; cat /etc/own");
    look.image = "ours:1".to_owned();
    assert_eq!(client.run(look).await.expect("run").stdout, "1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_go_to_podman_and_come_from_it() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let grown = client.grow(IMAGE, "echo 1 > /etc/own", "ours:1").await;
    let archive = client.save(&["ours:1"]).await.expect("saved");
    std::fs::create_dir(host.path("podman")).expect("folder");
    let path = |name: &str| host.path(&format!("podman/{name}")).display().to_string();
    let podman = |words: &[&str], input: &[u8]| {
        let mut command = host.enter("podman");
        command
            .args(["--root", &path("root"), "--runroot", &path("run")])
            .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args(words);
        text(run(&mut command, input))
    };
    std::fs::write(path("in.tar"), &archive).expect("file");
    let said = podman(&["load", "-i", &path("in.tar")], b"");
    assert!(said.contains("docker.io/library/ours:1"), "{said}");
    assert_eq!(
        podman(
            &[
                "image",
                "inspect",
                "-f",
                "sha256:{{.Id}}",
                "docker.io/library/ours:1"
            ],
            b""
        ),
        grown
    );
    client.rmi("ours:1", false).await.expect("removed");
    for format in ["docker-archive", "oci-archive"] {
        let out = path(format);
        podman(
            &[
                "save",
                "--format",
                format,
                "-o",
                &out,
                "docker.io/library/ours:1",
            ],
            b"",
        );
        let archive = std::fs::read(&out).expect("archive");
        let loaded = client.load(&archive).await.expect(format);
        // An OCI archive may have another configuration, and says the name its own way.
        assert_eq!(loaded[0].names[0].name, "ours:1", "{format}");
        let mut look = crate::client::sh("cat /etc/own");
        look.image.clone_from(&loaded[0].id);
        assert_eq!(
            client.run(look).await.expect("run").stdout,
            "1\n",
            "{format}"
        );
        client.rmi("ours:1", false).await.expect("removed");
    }
}
