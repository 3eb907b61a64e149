//! What a running container uses, counted by the kernel: read from files of its control group and of its network
//! namespace, without a process of its own and without asking its supervisor.

mod memory;
mod network;
mod storage;
mod text;
mod time;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::{Cgroup, Layout};
use crate::limits::group_path;
use crate::running::Running;

use self::text::Files;

/// Counters of one container at one moment. What the kernel does not count is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processor time.
    pub cpu: CpuCounters,
    /// Memory.
    pub memory: MemoryCounters,
    /// Input and output of block devices.
    pub storage: Vec<DeviceCounters>,
    /// Processes and threads.
    pub pids: u64,
    /// The limit of them; 0: none.
    pub pids_limit: u64,
    /// Network interfaces of the container's own namespace.
    pub interfaces: Vec<InterfaceCounters>,
}

/// Processor time, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuCounters {
    /// All that was used.
    pub usage_nanos: u64,
    /// By programs.
    pub user_nanos: u64,
    /// By the kernel for them.
    pub kernel_nanos: u64,
    /// By processor; empty where the kernel does not say.
    pub per_cpu_nanos: Vec<u64>,
    /// Periods of the quota that have passed.
    pub periods: u64,
    /// Those in which the quota was used up.
    pub throttled_periods: u64,
    /// How long the container had to wait therefore.
    pub throttled_nanos: u64,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryCounters {
    /// In use, caches included.
    pub usage_bytes: u64,
    /// The most so far; only with cgroup v1.
    pub max_usage_bytes: u64,
    /// The limit, or the machine's memory.
    pub limit_bytes: u64,
    /// How often the limit was reached.
    pub failures: u64,
    /// What the kernel breaks the usage down into.
    pub details: Vec<(String, u64)>,
}

/// Input and output of a block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Number of its driver.
    pub major: u64,
    /// Its number at the driver.
    pub minor: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// What went through a network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Its name in the container.
    pub name: String,
    /// Received.
    pub received: PacketCounters,
    /// Sent.
    pub sent: PacketCounters,
}

/// One direction of a network interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketCounters {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were damaged.
    pub errors: u64,
    /// Packets that there was no room for.
    pub dropped: u64,
}

/// Processor time of the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineTime {
    /// Nanoseconds that all processors together have had.
    pub nanos: u64,
    /// Processors that are switched on.
    pub cpus: u32,
}

/// Reads counters; knows where the machine has its control groups.
#[derive(Debug)]
pub struct Meter {
    layout: Layout,
    memory_bytes: u64,
    files: Files,
}

/// Where the counters of one run of a container are.
#[derive(Clone, Debug)]
pub struct Metered {
    cgroup: PathBuf,
    pid: i32,
    has_network: bool,
}

impl Meter {
    /// Finds out where the machine keeps counters.
    ///
    /// # Errors
    /// Fails when the mount table cannot be read.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            layout: Layout::detect()?,
            memory_bytes: memory::of_machine(),
            files: Files::default(),
        })
    }

    /// Finds the counters of a container, for as long as it runs. A container with the machine's network has no counters
    /// of its own there.
    ///
    /// # Errors
    /// Fails when the container has ended.
    pub fn find(&self, running: &Running) -> io::Result<Metered> {
        let pid = running.pid();
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
        let has_network = namespace(&pid.to_string())? != namespace("self")?;
        Ok(Metered {
            cgroup: group_path(running.run_dir())?,
            pid,
            has_network,
        })
    }

    /// Reads all counters of a container. One that has ended has none.
    pub fn read(&mut self, metered: &Metered) -> Counters {
        let mut counters = Counters::default();
        let relative = metered.cgroup.strip_prefix("/").unwrap_or(&metered.cgroup);
        if self.layout.is_unified() {
            if let Some(root) = &self.layout.v2 {
                self.files.enter(&root.join(relative));
                read_unified(&mut self.files, &mut counters);
            }
        } else {
            self.read_v1(relative, &mut counters);
        }
        let limit = &mut counters.memory.limit_bytes;
        if *limit == 0 || *limit > self.memory_bytes {
            *limit = self.memory_bytes;
        }
        if metered.has_network {
            counters.interfaces = network::read(&mut self.files, metered.pid);
        }
        counters
    }

    /// Reads the machine's processor time.
    pub fn machine_time(&self) -> MachineTime {
        time::of_machine()
    }

    fn read_v1(&mut self, relative: &Path, counters: &mut Counters) {
        let directory = |controller: &str| {
            let hierarchy = self.layout.hierarchy(controller)?;
            Some(hierarchy.mount().join(relative))
        };
        let (cpuacct, cpu) = (directory("cpuacct"), directory("cpu"));
        let (memory, blkio, pids) = (directory("memory"), directory("blkio"), directory("pids"));
        let files = &mut self.files;
        if let Some(directory) = cpuacct {
            files.enter(&directory);
            time::read_v1(files, &mut counters.cpu);
        }
        if let Some(directory) = cpu {
            files.enter(&directory);
            time::read_throttling_v1(files, &mut counters.cpu);
        }
        if let Some(directory) = memory {
            files.enter(&directory);
            counters.memory = memory::read_v1(files);
        }
        if let Some(directory) = blkio {
            files.enter(&directory);
            counters.storage = storage::read_v1(files);
        }
        if let Some(directory) = pids {
            files.enter(&directory);
            read_pids(files, counters);
        }
    }
}

fn read_unified(files: &mut Files, counters: &mut Counters) {
    time::read_unified(files, &mut counters.cpu);
    counters.memory = memory::read_unified(files);
    counters.storage = storage::read_unified(files);
    read_pids(files, counters);
}

fn read_pids(files: &mut Files, counters: &mut Counters) {
    counters.pids = files.number("pids.current");
    counters.pids_limit = files.number("pids.max");
}

impl Running {
    /// Returns the ids of all processes of the container, as the agent sees them.
    ///
    /// # Errors
    /// Fails when the container has ended.
    pub fn process_ids(&self) -> io::Result<Vec<i32>> {
        let cgroup = Cgroup::new(Layout::detect()?, &group_path(self.run_dir())?);
        let cgroup = cgroup.map_err(io::Error::other)?;
        let mut pids = Vec::new();
        // Every process is in all hierarchies; the container itself may have made groups below.
        if let Some(directory) = cgroup.directories().next() {
            members(&directory, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }
}

fn members(directory: &Path, pids: &mut Vec<i32>) -> io::Result<()> {
    let text = fs::read_to_string(directory.join("cgroup.procs"))?;
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            // A group that is gone meanwhile has nobody in it.
            drop(members(&entry.path(), pids));
        }
    }
    Ok(())
}
