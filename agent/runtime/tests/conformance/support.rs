//! Bundles, the two runtimes, and what is seen of a container from outside.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest time that anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(30);

const APPLETS: [&str; 30] = [
    "sh", "true", "cat", "echo", "sleep", "ls", "id", "grep", "env", "sort", "hostname", "head",
    "wc", "stat", "touch", "mkdir", "kill", "readlink", "pwd", "mount", "tty", "stty", "sed",
    "dmesg", "test", "rm", "mknod", "ps", "awk", "chmod",
];

/// Who runs a bundle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Runtime {
    Ours,
    Runc,
}

pub(crate) const BOTH: [Runtime; 2] = [Runtime::Ours, Runtime::Runc];

/// A bundle with a container of one runtime, which goes away with it.
pub(crate) struct Bundle {
    pub(crate) runtime: Runtime,
    pub(crate) id: String,
    pub(crate) dir: TempDir,
    pub(crate) spec: Value,
}

impl Bundle {
    /// A bundle whose command is a shell script.
    pub(crate) fn new(runtime: Runtime, script: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // What `create` leaves behind is then this process's to reap.
        set_child_subreaper(true).unwrap();
        let id = format!(
            "c{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "etc", "tmp", "proc", "sys", "dev", "work"] {
            fs::create_dir_all(dir.path().join("rootfs").join(name)).unwrap();
        }
        let root = dir.path().join("rootfs");
        fs::hard_link("/bin/busybox", root.join("bin/busybox"))
            .or_else(|_| fs::copy("/bin/busybox", root.join("bin/busybox")).map(drop))
            .unwrap();
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        let spec = spec(script, &format!("/berth-conformance/{id}"));
        Self {
            runtime,
            id,
            dir,
            spec,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path("rootfs")
    }

    /// A command of the runtime.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.runtime {
            Runtime::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_berth-test-supervisor"));
                command.arg("runtime");
                command
            }
            Runtime::Runc => Command::new("/usr/sbin/runc"),
        };
        command
            .arg("--root")
            .arg(self.path("state"))
            .args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command of the runtime to its end.
    pub(crate) fn call(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        // To files: a pipe would stay open as long as the container.
        let (out, err) = (self.path("call.out"), self.path("call.err"));
        command.stdout(File::create(&out).unwrap());
        command.stderr(File::create(&err).unwrap());
        let status = command.status().unwrap();
        Output {
            status,
            stdout: fs::read(out).unwrap(),
            stderr: fs::read(err).unwrap(),
        }
    }

    /// Runs a command of the runtime that works.
    pub(crate) fn works(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        assert!(
            output.status.success(),
            "{:?} {arguments:?}: {}",
            self.runtime,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command of the runtime that fails, and returns what it says.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        assert!(
            !output.status.success(),
            "{:?} {arguments:?} works",
            self.runtime
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn write_config(&self) {
        let text = serde_json::to_vec_pretty(&self.spec).unwrap();
        fs::write(self.path("config.json"), text).unwrap();
    }

    /// Starts `create`, with the container's output in a file.
    pub(crate) fn try_create(&self, more: &[&str]) -> (ExitStatus, String) {
        self.write_config();
        let bundle = self.dir.path().to_str().unwrap();
        let pid_file = self.path("pid");
        let mut command = self.command(&["create", "--bundle", bundle]);
        command
            .arg("--pid-file")
            .arg(pid_file)
            .args(more)
            .arg(&self.id);
        command.stdout(File::create(self.path("out")).unwrap());
        command.stderr(File::create(self.path("err")).unwrap());
        let status = command.status().unwrap();
        (status, fs::read_to_string(self.path("err")).unwrap())
    }

    pub(crate) fn create(&self) -> i32 {
        let (status, error) = self.try_create(&[]);
        assert!(status.success(), "{:?}: {error}", self.runtime);
        self.pid()
    }

    pub(crate) fn pid(&self) -> i32 {
        let text = fs::read_to_string(self.path("pid")).unwrap();
        text.parse().unwrap()
    }

    pub(crate) fn start(&self) {
        self.works(&["start", &self.id]);
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.works(&["state", &self.id])).unwrap()
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.path("out")).unwrap()
    }

    /// Runs the container to its end; returns its exit code and what it printed.
    pub(crate) fn run(&self) -> (i32, String) {
        let pid = self.create();
        self.start();
        let code = reap(pid);
        let output = self.output();
        self.works(&["delete", &self.id]);
        (code, output)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // A test that has failed may leave its container running.
        let _gone = self.call(&["delete", "--force", &self.id]);
        let groups = fs::read_dir("/sys/fs/cgroup").into_iter().flatten();
        for hierarchy in groups.filter_map(Result::ok) {
            // Others may have theirs beside it.
            drop(fs::remove_dir(
                hierarchy.path().join("berth-conformance").join(&self.id),
            ));
            drop(fs::remove_dir(hierarchy.path().join("berth-conformance")));
        }
    }
}

/// Waits for the end of a container's process, and returns its exit code as shells count it.
pub(crate) fn reap(pid: i32) -> i32 {
    match waitpid(Pid::from_raw(pid), None).unwrap() {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        other => panic!("{other:?}"),
    }
}

/// Waits for a condition that nothing announces.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap())
}

pub(crate) fn has_mount_below(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table
        .lines()
        .any(|line| line.contains(path.to_str().unwrap()))
}

fn spec(script: &str, cgroup: &str) -> Value {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_KILL",
        "CAP_SETUID",
        "CAP_SETGID",
        "CAP_NET_BIND_SERVICE",
    ];
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "inside",
        "annotations": {"org.example.key": "value"},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["sh", "-c", script],
            "env": ["PATH=/bin", "NAME=value", "HOME=/"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"}, {"type": "ipc"}],
            "resources": {"devices": [
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
            ]},
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/not/there"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
