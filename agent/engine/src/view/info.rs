//! What the engine says of itself and of its machine.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::Engine;
use crate::container::status::Phase;

/// Name of the built-in runtime.
pub(crate) const OWN_RUNTIME: &str = "berth";

/// Facts about the engine and its machine.
#[derive(Clone, Debug)]
pub struct Info {
    /// Identity of the engine, kept across restarts.
    pub id: String,
    /// Host name of the machine.
    pub name: String,
    /// All containers.
    pub containers: usize,
    /// Those that run.
    pub running: usize,
    /// Those that are frozen.
    pub paused: usize,
    /// The others.
    pub stopped: usize,
    /// Images.
    pub images: usize,
    /// `1`, `2` or `hybrid`.
    pub cgroup_version: &'static str,
    /// Kernel release.
    pub kernel_version: String,
    /// Name of the distribution.
    pub operating_system: String,
    /// Processors.
    pub n_cpus: usize,
    /// Memory in bytes.
    pub memory_total: u64,
    /// OCI runtime of containers that ask for none.
    pub default_runtime: String,
    /// Runtimes that can be asked for.
    pub runtimes: Vec<String>,
    /// What containers are confined by.
    pub security_options: Vec<String>,
    /// What the machine lacks, one sentence each.
    pub warnings: Vec<String>,
    /// What there is to know about the storage: names and values.
    pub driver_status: Vec<(String, String)>,
    /// VERSION_ID of os-release.
    pub os_version: String,
    /// What the kernel can limit.
    pub kernel_features: KernelFeatures,
    /// Files that the agent has open.
    pub n_file_descriptors: usize,
    /// Threads of the agent.
    pub n_threads: usize,
    /// Who listens to events.
    pub n_event_listeners: usize,
}

/// What the kernel can limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a feature of its own"
)]
pub struct KernelFeatures {
    /// Memory.
    pub memory: bool,
    /// Memory and swap together.
    pub swap: bool,
    /// Processes.
    pub pids: bool,
    /// Shares of processors.
    pub cpu_shares: bool,
    /// Time of processors.
    pub cpu_quota: bool,
    /// Which processors.
    pub cpuset: bool,
    /// Whether running out of memory kills.
    pub oom_kill_disable: bool,
    /// Packets are passed on.
    pub ipv4_forwarding: bool,
}

/// Returns the SHA-256 of the running executable as hex digits. Reads the whole file; blocks.
///
/// # Errors
/// When the executable cannot be read.
pub fn executable_digest() -> io::Result<String> {
    let mut file = File::open("/proc/self/exe")?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Names of the processor's architecture, as Go and Docker write them.
#[must_use]
pub fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Returns the kernel's release, as `uname -r`.
#[must_use]
pub fn kernel_release() -> String {
    nix::sys::utsname::uname()
        .map(|names| names.release().to_string_lossy().into_owned())
        .unwrap_or_default()
}

impl Engine {
    /// Gathers the facts.
    #[must_use]
    pub fn info(&self) -> Info {
        let phases: Vec<Phase> = self.containers.all().iter().map(|c| c.phase()).collect();
        let count = |wanted: Phase| phases.iter().filter(|phase| **phase == wanted).count();
        let (running, paused) = (count(Phase::Running), count(Phase::Paused));
        let default_runtime = if self.config.default_runtime.is_empty() {
            OWN_RUNTIME.to_owned()
        } else {
            self.config.default_runtime.clone()
        };
        let mut runtimes = vec![OWN_RUNTIME.to_owned()];
        runtimes.extend(
            ["crun", "runc", "youki"]
                .into_iter()
                .filter(|name| self.has(name))
                .map(str::to_owned),
        );
        Info {
            id: self.identity.clone(),
            name: nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_default(),
            containers: phases.len(),
            running,
            paused,
            stopped: phases.len() - running - paused,
            images: self
                .images
                .list()
                .map(|images| images.len())
                .unwrap_or_default(),
            cgroup_version: cgroup_version(),
            kernel_version: kernel_release(),
            operating_system: operating_system(),
            n_cpus: std::thread::available_parallelism()
                .map(usize::from)
                .unwrap_or(1),
            memory_total: memory_total(),
            default_runtime,
            runtimes,
            security_options: vec!["name=seccomp,profile=builtin".to_owned()],
            warnings: warnings(),
            driver_status: driver_status(&self.config.data_root),
            os_version: os_release("VERSION_ID"),
            kernel_features: KernelFeatures {
                memory: self.kernel.memory,
                swap: self.kernel.swap,
                pids: self.kernel.pids,
                cpu_shares: self.kernel.cpu_shares,
                cpu_quota: self.kernel.cpu_quota,
                cpuset: self.kernel.cpuset,
                oom_kill_disable: self.kernel.oom_kill_disable,
                ipv4_forwarding: is_on("/proc/sys/net/ipv4/ip_forward"),
            },
            n_file_descriptors: count_in("/proc/self/fd"),
            n_threads: count_in("/proc/self/task"),
            n_event_listeners: self.events.n_listeners(),
        }
    }

    fn has(&self, runtime: &str) -> bool {
        let options = crate::options::HostOptions {
            runtime: runtime.to_owned(),
            ..crate::options::HostOptions::default()
        };
        self.external_runtime(&options).is_ok()
    }
}

fn cgroup_version() -> &'static str {
    let exists = |path: &str| fs::exists(path).unwrap_or(false);
    if exists("/sys/fs/cgroup/cgroup.controllers") {
        "2"
    } else if exists("/sys/fs/cgroup/unified/cgroup.controllers") {
        "hybrid"
    } else {
        "1"
    }
}

fn operating_system() -> String {
    match os_release("PRETTY_NAME") {
        name if name.is_empty() => "Linux".to_owned(),
        name => name,
    }
}

/// Returns a value of os-release, or nothing.
fn os_release(key: &str) -> String {
    let text = fs::read_to_string("/etc/os-release")
        .or_else(|_missing| fs::read_to_string("/usr/lib/os-release"))
        .unwrap_or_default();
    value_of(&text, key).unwrap_or_default()
}

fn value_of(os_release: &str, key: &str) -> Option<String> {
    let mut pairs = os_release.lines().filter_map(|line| line.split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == key)?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// Returns what Docker shows of overlayfs.
fn driver_status(data_root: &Path) -> Vec<(String, String)> {
    let backing = nix::sys::statfs::statfs(data_root).map_or("unknown", |found| {
        match found.filesystem_type().0 {
            0xef53 => "extfs",
            0x5846_5342 => "xfs",
            0x9123_683e => "btrfs",
            0x0102_1994 => "tmpfs",
            0x794c_7630 => "overlayfs",
            0x2fc1_2fc1 => "zfs",
            0xf2f5_2010 => "f2fs",
            _ => "unknown",
        }
    });
    [
        ("Backing Filesystem", backing),
        ("Supports d_type", "true"),
        ("Using metacopy", "false"),
        ("Native Overlay Diff", "true"),
        ("userxattr", "false"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn is_on(path: &str) -> bool {
    fs::read_to_string(path).unwrap_or_default().trim() == "1"
}

fn count_in(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn memory_total() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| {
            rest.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<u64>()
                .ok()
        });
    kilobytes.unwrap_or_default() * 1024
}

fn warnings() -> Vec<String> {
    let mut warnings = Vec::new();
    if !is_on("/proc/sys/net/ipv4/ip_forward") {
        warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
    }
    let controllers = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    for (controller, what) in [
        ("memory", "memory limit"),
        ("pids", "pids limit"),
        ("cpu", "cpu cfs quota"),
    ] {
        let is_enabled = controllers.lines().any(|line| {
            let mut fields = line.split_whitespace();
            fields.next() == Some(controller) && fields.nth(2) == Some("1")
        });
        if !is_enabled {
            warnings.push(format!("WARNING: No {what} support"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distributions_name_is_unquoted() {
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n";
        let value = |text| value_of(text, "PRETTY_NAME");
        assert_eq!(value(text).as_deref(), Some("Debian GNU/Linux 12"));
        assert_eq!(value(""), None);
    }
}
