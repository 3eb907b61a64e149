//! A host for one agent: namespaces that a process holds open, and a folder for all files.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Variable with the OCI runtime of all containers, for running these tests with another than berth's own.
pub(crate) const RUNTIME: &str = "BERTH_TEST_RUNTIME";

/// A host with an agent.
pub(crate) struct Host {
    folder: TempDir,
    holder: Child,
    agent: Option<Child>,
}

impl Host {
    /// Makes a host and starts its agent.
    pub(crate) fn new() -> Self {
        Self::with_config(json!({}))
    }

    /// Makes a host whose agent has more in its configuration.
    pub(crate) fn with_config(more: Value) -> Self {
        let mut host = Self::without_agent(&more);
        host.start();
        host
    }

    /// Makes a host whose agent is still to be started.
    pub(crate) fn without_agent(more: &Value) -> Self {
        let holder = hold_namespaces();
        let folder = tempfile::Builder::new()
            .prefix("berthd-test")
            .tempdir()
            .expect("folder");
        let mut config = json!({
            "socket": folder.path().join("run/berthd.sock"),
            "data_root": folder.path().join("data"),
            "run_root": folder.path().join("run"),
        });
        if let Some(runtime) = std::env::var_os(RUNTIME) {
            config["default_runtime"] = json!(runtime.to_string_lossy());
        }
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        fs::write(folder.path().join("berthd.json"), config.to_string()).expect("configuration");
        Self {
            folder,
            holder,
            agent: None,
        }
    }

    /// Makes a host whose data root is a small filesystem, mounted with these options.
    pub(crate) fn with_data_on_tmpfs(options: &str) -> Self {
        let mut host = Self::without_agent(&json!({}));
        let data = host.path("data");
        fs::create_dir(&data).expect("folder");
        let mounted = host
            .enter("mount")
            .args(["-t", "tmpfs", "-o", options, "data"])
            .arg(&data)
            .status();
        assert!(mounted.expect("mount").success());
        host.start();
        host
    }

    /// Starts the agent and waits until it is ready; returns how long that took.
    pub(crate) fn start(&mut self) -> Duration {
        let began = Instant::now();
        let mut agent = self
            .enter(&berthd())
            .args(["serve", "--ready-fd", "1", "--config"])
            .arg(self.path("berthd.json"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("berthd");
        let mut line = String::new();
        BufReader::new(agent.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line of the agent");
        assert_eq!(line, "ready\n", "the agent ended");
        self.agent = Some(agent);
        began.elapsed()
    }

    /// Kills the agent as a crash would.
    pub(crate) fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("a running agent");
        agent.kill().expect("kill");
        agent.wait().expect("wait");
    }

    /// Ends everything of the host at once: agent, supervisors, containers, namespaces, mounts.
    pub(crate) fn power_off(&mut self) {
        self.kill_agent();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = neighbours(self.holder.id());
            if left.is_empty() {
                break;
            }
            for pid in left {
                // Containers die with their supervisors.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            assert!(Instant::now() < deadline, "processes do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.holder.kill().expect("kill");
        self.holder.wait().expect("wait");
    }

    /// Boots the host that was off: without any of its former files that a boot does not leave. The agent is still to be
    /// started.
    pub(crate) fn power_on(&mut self) {
        self.holder = hold_namespaces();
        let run = self.path("run");
        fs::remove_dir_all(&run).expect("removal of the run directory");
    }

    /// Tells the agent to stop, and returns whether it did so in order.
    pub(crate) fn stop_agent(&mut self) -> bool {
        let mut agent = self.agent.take().expect("a running agent");
        let pid = i32::try_from(agent.id()).expect("pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("SIGTERM");
        agent.wait().expect("wait").success()
    }

    /// Returns a command that runs on the host.
    pub(crate) fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--net", "--mount", "--target"])
            .arg(self.holder.id().to_string())
            .arg("--")
            .arg(program);
        command
    }

    /// Returns what the agent has mapped into its memory.
    pub(crate) fn agent_maps(&self) -> String {
        let agent = self.agent.as_ref().expect("a running agent");
        fs::read_to_string(format!("/proc/{}/maps", agent.id())).expect("maps")
    }

    /// Returns the number of a process in the host's namespaces that does nothing.
    pub(crate) fn holder_pid(&self) -> u32 {
        self.holder.id()
    }

    /// Returns the number of the agent's process.
    pub(crate) fn agent_pid(&self) -> u32 {
        self.agent.as_ref().expect("a running agent").id()
    }

    /// Returns a path in the host's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Connects to the agent's unix socket.
    pub(crate) async fn client(&self) -> Client {
        Client::unix(self.path("run/berthd.sock")).await
    }

    /// Connects to a TCP address of the host.
    pub(crate) fn connect(&self, address: &str) -> std::io::Result<std::net::TcpStream> {
        connect_in(self.holder.id(), address)
    }

    /// Returns the names in a folder of the host, sorted, without hidden ones.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let path = self.path(folder);
        let inside = path.strip_prefix("/").expect("an absolute path");
        // It may be on a filesystem that only the host's processes see.
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let mut names: Vec<String> = fs::read_dir(root.join(inside))
            .into_iter()
            .flatten()
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.agent.is_none() {
            self.start();
        }
        let socket = self.path("run/berthd.sock");
        if let Some(mut agent) = self.agent.take() {
            // A runtime of its own: this may run inside another.
            let cleaner = std::thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("runtime")
                    .block_on(async { Client::unix(socket).await.remove_all().await });
            });
            let _ = cleaner.join();
            let _ = agent.kill();
            let _ = agent.wait();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Connects to an address in the network namespace of a process.
pub(crate) fn connect_in(pid: u32, address: &str) -> std::io::Result<std::net::TcpStream> {
    let namespace = fs::File::open(format!("/proc/{pid}/ns/net"))?;
    let address = address.to_owned();
    // Entering a namespace is for one thread, which ends with it.
    std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        std::net::TcpStream::connect(address)
    })
    .join()
    .expect("connecting thread")
}

/// Starts the process that keeps a host's namespaces.
fn hold_namespaces() -> Child {
    let mut holder = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "sh", "-c"])
        .arg("ip link set lo up && echo up && exec sleep infinity")
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("a line of the holder");
    assert_eq!(line, "up\n");
    holder
}

/// Returns the processes in the mount namespace of this one, without itself.
fn neighbours(pid: u32) -> Vec<i32> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = namespace(&pid.to_string());
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| own.is_some() && *name != pid.to_string() && namespace(name) == own)
        .filter_map(|name| name.parse().ok())
        .collect()
}

/// Returns the program under test: `BERTH_AGENT`, or the one that was built for the tests.
pub(crate) fn berthd() -> String {
    std::env::var("BERTH_AGENT").unwrap_or_else(|_unset| env!("CARGO_BIN_EXE_berthd").to_owned())
}

/// Waits until `holds` does.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
