//! What this kernel can limit, by the files that its cgroup hierarchies offer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::cpuset;

/// What this kernel can limit. Each field is named after what it permits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the kernel"
)]
pub(crate) struct KernelLimits {
    pub(crate) memory: bool,
    pub(crate) swap: bool,
    pub(crate) swappiness: bool,
    pub(crate) reservation: bool,
    pub(crate) oom_kill_disable: bool,
    pub(crate) kernel_memory_tcp: bool,
    pub(crate) pids: bool,
    pub(crate) cpu_shares: bool,
    pub(crate) cpu_quota: bool,
    pub(crate) cpu_realtime: bool,
    pub(crate) cpuset: bool,
    pub(crate) blkio_weight: bool,
    pub(crate) blkio_weight_device: bool,
    pub(crate) blkio_throttle: bool,
    pub(crate) cgroup_namespaces: bool,
    /// Processors that may be used, as the kernel lists them.
    pub(crate) cpus: String,
    /// Memory nodes that may be used.
    pub(crate) mems: String,
    /// How many processors this agent may use.
    pub(crate) n_cpus: usize,
}

impl KernelLimits {
    /// Looks at the machine.
    pub(crate) fn detect() -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let has_v1 = V1::new(&mountinfo);
        let mut found = match unified_root(&mountinfo).filter(|_| !has_v1.exists()) {
            Some(root) => Self::of_unified(&root),
            None => Self::of_v1(&has_v1),
        };
        found.cgroup_namespaces = Path::new("/proc/self/ns/cgroup").exists();
        found.n_cpus = n_cpus();
        found
    }

    fn of_v1(v1: &V1) -> Self {
        Self {
            memory: v1.has("memory", "memory.limit_in_bytes"),
            swap: v1.has("memory", "memory.memsw.limit_in_bytes"),
            swappiness: v1.has("memory", "memory.swappiness"),
            reservation: v1.has("memory", "memory.soft_limit_in_bytes"),
            oom_kill_disable: v1.has("memory", "memory.oom_control"),
            kernel_memory_tcp: v1.has("memory", "memory.kmem.tcp.limit_in_bytes"),
            // The root group has no limit of its own.
            pids: v1.mount("pids").is_some(),
            cpu_shares: v1.has("cpu", "cpu.shares"),
            cpu_quota: v1.has("cpu", "cpu.cfs_quota_us"),
            cpu_realtime: v1.has("cpu", "cpu.rt_period_us"),
            cpuset: v1.has("cpuset", "cpuset.cpus"),
            blkio_weight: v1.has("blkio", "blkio.weight"),
            blkio_weight_device: v1.has("blkio", "blkio.weight_device"),
            blkio_throttle: v1.has("blkio", "blkio.throttle.read_bps_device"),
            cpus: v1.read("cpuset", "cpuset.cpus"),
            mems: v1.read("cpuset", "cpuset.mems"),
            ..Self::default()
        }
    }

    fn of_unified(root: &Path) -> Self {
        let text = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let controllers: BTreeSet<&str> = text.split_whitespace().collect();
        let has = |name: &str| controllers.contains(name);
        let read = |file: &str| {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            text.trim().to_owned()
        };
        Self {
            memory: has("memory"),
            swap: has("memory") && has_swap(root),
            reservation: has("memory"),
            pids: has("pids"),
            cpu_shares: has("cpu"),
            cpu_quota: has("cpu"),
            cpuset: has("cpuset"),
            blkio_weight: has("io"),
            blkio_weight_device: has("io"),
            blkio_throttle: has("io"),
            cpus: read("cpuset.cpus.effective"),
            mems: read("cpuset.mems.effective"),
            ..Self::default()
        }
    }

    /// Whether all of these processors may be used.
    pub(crate) fn has_cpus(&self, list: &str) -> Result<bool, cpuset::InvalidList> {
        cpuset::is_within(list, &self.cpus)
    }

    /// Whether all of these memory nodes may be used.
    pub(crate) fn has_mems(&self, list: &str) -> Result<bool, cpuset::InvalidList> {
        cpuset::is_within(list, &self.mems)
    }
}

/// The hierarchies of version 1: options of the mount, and where it is.
struct V1(Vec<(String, PathBuf)>);

impl V1 {
    fn new(mountinfo: &str) -> Self {
        let mounts = mounts(mountinfo, "cgroup");
        // Hierarchies without controllers keep books only.
        Self(
            mounts
                .filter(|(options, _)| !options.contains("name="))
                .collect(),
        )
    }

    fn exists(&self) -> bool {
        !self.0.is_empty()
    }

    fn mount(&self, controller: &str) -> Option<&Path> {
        let is_it = |(options, _): &&(String, PathBuf)| options.split(',').any(|o| o == controller);
        self.0.iter().find(is_it).map(|(_, path)| path.as_path())
    }

    fn has(&self, controller: &str, file: &str) -> bool {
        self.mount(controller)
            .is_some_and(|mount| mount.join(file).exists())
    }

    fn read(&self, controller: &str, file: &str) -> String {
        let text = self
            .mount(controller)
            .and_then(|mount| fs::read_to_string(mount.join(file)).ok());
        text.unwrap_or_default().trim().to_owned()
    }
}

/// Returns options and places of the mounts of one type.
fn mounts<'a>(
    mountinfo: &'a str,
    wanted: &'a str,
) -> impl Iterator<Item = (String, PathBuf)> + use<'a> {
    mountinfo.lines().filter_map(move |line| {
        let (place, filesystem) = line.split_once(" - ")?;
        let mut words = filesystem.split(' ');
        let is_wanted = words.next() == Some(wanted);
        let path = place.split(' ').nth(4)?.replace("\\040", " ");
        is_wanted.then(|| {
            (
                words.nth(1).unwrap_or_default().to_owned(),
                PathBuf::from(path),
            )
        })
    })
}

fn unified_root(mountinfo: &str) -> Option<PathBuf> {
    mounts(mountinfo, "cgroup2").next().map(|(_, path)| path)
}

/// The root group has no such file, the ones below it have.
fn has_swap(root: &Path) -> bool {
    let groups = fs::read_dir(root).into_iter().flatten().flatten();
    root.join("memory.swap.max").exists()
        || groups
            .map(|entry| entry.path().join("memory.swap.max"))
            .any(|path| path.exists())
}

fn n_cpus() -> usize {
    let own = nix::unistd::Pid::from_raw(0);
    let allowed = nix::sched::sched_getaffinity(own).map(|set| {
        (0..nix::sched::CpuSet::count())
            .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
            .count()
    });
    allowed.unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_by_their_controllers() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let root = folder.path().display();
        for (name, file) in [
            ("memory", "memory.limit_in_bytes"),
            ("cpu,cpuacct", "cpu.shares"),
        ] {
            fs::create_dir(folder.path().join(name)).expect("folder");
            fs::write(folder.path().join(name).join(file), "").expect("file");
        }
        let text = format!(
            "30 1 0:1 / {root}/memory rw shared:1 - cgroup cgroup rw,memory\n\
             31 1 0:2 / {root}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             32 1 0:3 / {root}/systemd rw - cgroup cgroup rw,name=systemd\n"
        );
        let found = KernelLimits::of_v1(&V1::new(&text));
        assert!(found.memory && found.cpu_shares);
        assert!(!found.swap && !found.pids && !found.cpu_quota);
    }

    #[test]
    fn a_unified_hierarchy_says_itself_what_it_has() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, text).expect("file");
        };
        write("cgroup.controllers", "cpu memory pids\n");
        write("cpuset.cpus.effective", "0-3\n");
        let found = KernelLimits::of_unified(folder.path());
        assert!(found.memory && found.pids && found.cpu_quota && found.reservation);
        assert!(!found.swap && !found.cpuset && !found.oom_kill_disable && !found.cpu_realtime);
        write("system.slice/memory.swap.max", "max\n");
        assert!(KernelLimits::of_unified(folder.path()).swap);
    }
}
