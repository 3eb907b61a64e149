//! Containers made of busybox, and what tests do with them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use berth_agent_runtime::log::{LogSelection, Reader};
use berth_agent_runtime::seccomp::{DEFAULT_PROFILE, compile};
use berth_agent_runtime::{
    AttachFrom, AttachOptions, Attachment, ExecRequest, ExitRecord, Output, Rootfs, Running,
    Runtime, RuntimeConfig, StartError, StartRequest, capabilities,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::{Process, Spec};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest time that anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const APPLETS: [&str; 32] = [
    "sh", "true", "false", "cat", "echo", "sleep", "ls", "mount", "umount", "id", "grep", "stty",
    "tty", "kill", "head", "dd", "mkdir", "ps", "printf", "touch", "readlink", "env", "hostname",
    "wc", "seq", "mknod", "chmod", "stat", "ln", "unshare", "sync", "rm",
];

/// A container's directories, which go away with it.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) dir: TempDir,
    pub(crate) runtime: Runtime,
}

impl Container {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!(
            "t{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "bundle",
            "upper",
            "work",
            "layer/bin",
            "layer/etc",
            "layer/tmp",
        ] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::hard_link("/bin/busybox", dir.path().join("layer/bin/busybox"))
            .or_else(|_| fs::copy("/bin/busybox", dir.path().join("layer/bin/busybox")).map(drop))
            .unwrap();
        for applet in APPLETS {
            symlink("busybox", dir.path().join("layer/bin").join(applet)).unwrap();
        }
        fs::write(
            dir.path().join("layer/etc/passwd"),
            "root:x:0:0::/:/bin/sh\n",
        )
        .unwrap();
        Self {
            id,
            dir,
            runtime: runtime(
                env!("CARGO_BIN_EXE_berth-test-supervisor"),
                &["supervise", "--shutdown-grace=300"],
            ),
        }
    }

    pub(crate) fn layer(&self) -> PathBuf {
        self.dir.path().join("layer")
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run").join(&self.id)
    }

    pub(crate) fn cgroup(&self) -> PathBuf {
        Path::new("/").join(self.parent_group()).join("group")
    }

    /// Tests run side by side, so that each has a parent of its own to remove.
    fn parent_group(&self) -> String {
        format!("berth-test-{}", self.id)
    }

    /// The container's group in a hierarchy of version 1.
    pub(crate) fn group_in(&self, hierarchy: &str) -> PathBuf {
        let root = Path::new("/sys/fs/cgroup").join(hierarchy);
        root.join(self.parent_group()).join("group")
    }

    /// A request to run a shell script in a container as Docker would make it.
    pub(crate) fn script(&self, script: &str) -> StartRequest {
        self.request(&["sh", "-c", script])
    }

    pub(crate) fn request(&self, args: &[&str]) -> StartRequest {
        self.request_for(spec(args, &self.cgroup()))
    }

    pub(crate) fn request_for(&self, spec: Value) -> StartRequest {
        StartRequest {
            id: self.id.clone(),
            bundle_dir: self.bundle(),
            run_dir: self.run_dir(),
            spec: serde_json::from_value(spec).unwrap(),
            rootfs: Rootfs::Overlay {
                lower: vec![self.layer()],
                upper: self.dir.path().join("upper"),
                work: self.dir.path().join("work"),
            },
            terminal_size: None,
            open_stdin: false,
            stdin_once: false,
            seccomp: Some(default_program()),
            external_runtime: None,
            ephemeral: false,
            log: berth_agent_runtime::log::LogPolicy::default(),
            init: false,
            neighbours: Vec::new(),
        }
    }

    pub(crate) async fn start(&self, request: StartRequest) -> Running {
        let started = within(self.runtime.start(request)).await;
        started.unwrap_or_else(|e| {
            panic!(
                "{}: {e}: {:?}",
                self.id,
                std::error::Error::source(&e).map(ToString::to_string)
            )
        })
    }

    pub(crate) async fn fail(&self, request: StartRequest) -> StartError {
        within(self.runtime.start(request))
            .await
            .expect_err("the container starts")
    }

    /// Runs a script to its end, and returns how it ended and what it printed.
    pub(crate) async fn run(&self, request: StartRequest) -> (ExitRecord, String) {
        let running = self.start(request).await;
        let record = end(&running).await;
        (record, self.output())
    }

    pub(crate) async fn run_script(&self, script: &str) -> String {
        self.run(self.script(script)).await.1
    }

    pub(crate) fn output(&self) -> String {
        let mut text = Vec::new();
        let mut reader = Reader::open(&self.bundle()).unwrap();
        reader
            .for_each_line(&LogSelection::default(), |line| {
                text.extend(line.data);
                true
            })
            .unwrap();
        String::from_utf8(text).unwrap()
    }
}

/// A runtime with this program as supervisor.
pub(crate) fn runtime(executable: &str, arguments: &[&str]) -> Runtime {
    let config = RuntimeConfig {
        executable: executable.into(),
        arguments: arguments.iter().map(Into::into).collect(),
    };
    Runtime::new(config).unwrap()
}

/// Returns the process id of a container's supervisor.
pub(crate) fn supervisor_of(running: &Running) -> i32 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.unwrap().trim().parse().unwrap()
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

impl Drop for Container {
    fn drop(&mut self) {
        // A test that has failed may leave its container running.
        let members = self.group_in("pids").join("cgroup.procs");
        for pid in fs::read_to_string(members)
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.parse().ok())
        {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .filter_map(Result::ok)
        {
            let parent = hierarchy.path().join(self.parent_group());
            // The supervisor removes its own group after it has told the end.
            let deadline = std::time::Instant::now() + PATIENCE;
            while fs::remove_dir(&parent).is_err_and(|e| e.kind() != ErrorKind::NotFound)
                && std::time::Instant::now() < deadline
            {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

pub(crate) fn default_program() -> std::sync::Arc<[u8]> {
    let names = capabilities::names(&capabilities::adjust(&[], &[]).unwrap());
    compile(DEFAULT_PROFILE, &names).unwrap()
}

pub(crate) fn process(args: &[&str]) -> Value {
    let own: Vec<String> = capabilities::names(&capabilities::adjust(&[], &[]).unwrap())
        .into_iter()
        .collect();
    json!({
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": {"bounding": own, "effective": own, "permitted": own},
    })
}

/// What Docker makes of `run IMAGE args`, without a network.
pub(crate) fn spec(args: &[&str], cgroup: &Path) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "inside",
        "process": process(args),
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"}, {"type": "ipc"}],
            "resources": {"devices": [
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "access": "m"},
                {"allow": true, "type": "b", "access": "m"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 7, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 9, "access": "rwm"},
                {"allow": true, "type": "c", "major": 5, "minor": 0, "access": "rwm"},
                {"allow": true, "type": "c", "major": 5, "minor": 1, "access": "rwm"},
                {"allow": true, "type": "c", "major": 5, "minor": 2, "access": "rwm"},
                {"allow": true, "type": "c", "major": 136, "access": "rwm"},
            ]},
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug",
                "/proc/scsi", "/sys/firmware", "/proc/latency_stats"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// Changes a part of a specification.
pub(crate) fn edit(request: &mut StartRequest, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::to_value(&request.spec).unwrap();
    change(&mut value);
    request.spec = serde_json::from_value::<Spec>(value).unwrap();
}

pub(crate) fn exec_request(args: &[&str]) -> ExecRequest {
    ExecRequest {
        process: serde_json::from_value::<Process>(process(args)).unwrap(),
        terminal_size: None,
        attach: true,
        stdin: false,
        seccomp: Some(default_program()),
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("takes too long")
}

pub(crate) async fn end(running: &Running) -> ExitRecord {
    within(running.wait())
        .await
        .expect("the supervisor leaves a record")
}

pub(crate) async fn attach(running: &Running, from: AttachFrom, stdin: bool) -> Attachment {
    within(running.attach(AttachOptions { from, stdin }))
        .await
        .unwrap()
}

/// Reads output until it contains a text.
pub(crate) async fn read_until(output: &mut Output, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let record = within(output.next()).await.unwrap();
        let record = record.unwrap_or_else(|| panic!("no {text:?} in {seen:?}"));
        seen.push_str(&String::from_utf8_lossy(&record.data));
    }
    seen
}

pub(crate) async fn read_all(output: &mut Output) -> String {
    let mut seen = Vec::new();
    while let Some(record) = within(output.next()).await.unwrap() {
        seen.extend(record.data);
    }
    String::from_utf8(seen).unwrap()
}

/// Waits for a condition that nothing announces.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
