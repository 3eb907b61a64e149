//! What `/proc` tells of a process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ticks a second in which the kernel counts towards programs.
const TICKS: u64 = 100;

/// Size of a page in kibibytes, as `statm` counts on the machines that the agent is built for.
const PAGE_KIB: u64 = 4;

/// A process.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
    pub(super) state: char,
    pub(super) ppid: i32,
    pub(super) pgid: i32,
    pub(super) session: i32,
    pub(super) tty: u64,
    pub(super) foreground: i32,
    /// Processor time.
    pub(super) cpu: Duration,
    pub(super) priority: i64,
    pub(super) nice: i64,
    pub(super) threads: u64,
    /// When it was started, after the machine.
    pub(super) start: Duration,
    pub(super) virtual_kib: u64,
    pub(super) resident_kib: u64,
    /// The command line; empty for one that has none any more.
    pub(super) arguments: String,
}

/// What is the same for all processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub(super) now: SystemTime,
    pub(super) uptime: Duration,
    pub(super) memory_kib: u64,
}

impl Machine {
    pub(super) fn look() -> Self {
        let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = text.split(' ').next().and_then(|n| n.parse().ok());
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
        Self {
            now: SystemTime::now(),
            uptime: Duration::from_secs_f64(seconds.unwrap_or(0.0)),
            memory_kib: total.unwrap_or(0),
        }
    }

    /// Returns when a process was started.
    pub(super) fn moment(&self, start: Duration) -> SystemTime {
        let ago = self.uptime.saturating_sub(start);
        self.now.checked_sub(ago).unwrap_or(UNIX_EPOCH)
    }
}

impl Process {
    /// Reads what there is of a process; nothing for one that has ended.
    pub(super) fn read(pid: i32) -> Option<Self> {
        let directory = format!("/proc/{pid}");
        let owner = fs::metadata(&directory).ok()?;
        let stat = fs::read_to_string(format!("{directory}/stat")).ok()?;
        let status = fs::read_to_string(format!("{directory}/status")).unwrap_or_default();
        let words = fs::read(format!("{directory}/cmdline")).unwrap_or_default();
        let mut process = Self::parse(&stat)?;
        // The directory of a process that may not be looked into belongs to root.
        process.uid = effective(&status, "Uid:").unwrap_or_else(|| owner.uid());
        process.gid = effective(&status, "Gid:").unwrap_or_else(|| owner.gid());
        let words = words.strip_suffix(b"\0").unwrap_or(&words);
        let shown: Vec<u8> = words
            .iter()
            .map(|byte| match byte {
                0 => b' ',
                // What would steer a terminal, or end the line.
                1..32 | 127 => b'?',
                other => *other,
            })
            .collect();
        process.arguments = String::from_utf8_lossy(&shown).into_owned();
        Some(process)
    }

    /// Reads `stat`, in which the name may have anything in it.
    fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse::<i64>().ok());
        let unsigned = |at: usize| number(at).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let id = |at: usize| number(at).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
        let ticks = |n: u64| Duration::from_millis(n * 1000 / TICKS);
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            ppid: id(1),
            pgid: id(2),
            session: id(3),
            tty: unsigned(4),
            foreground: id(5),
            cpu: ticks(unsigned(11) + unsigned(12)),
            priority: number(15).unwrap_or(0),
            nice: number(16).unwrap_or(0),
            threads: unsigned(17),
            start: ticks(unsigned(19)),
            virtual_kib: unsigned(20) / 1024,
            resident_kib: unsigned(21) * PAGE_KIB,
            ..Self::default()
        })
    }

    /// Returns the share of one processor that it has had since its start, in percent.
    pub(super) fn cpu_percent(&self, machine: &Machine) -> f64 {
        let age = machine.uptime.saturating_sub(self.start).as_secs_f64();
        if age > 0.0 {
            self.cpu.as_secs_f64() * 100.0 / age
        } else {
            0.0
        }
    }
}

/// Returns the second number of a line of `status`: the id that counts.
fn effective(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_anything_in_it() {
        let stat = "42 (a) R (b) S 7 42 40 34817 42 4194304 1 2 3 4 150 50 0 0 20 5 3 0 12345 8192000 250 18446744073709551615";
        let process = Process::parse(stat).expect("a process");
        assert_eq!(process.name, "a) R (b");
        assert_eq!((process.pid, process.state, process.ppid), (42, 'S', 7));
        assert_eq!(process.cpu, Duration::from_secs(2));
        assert_eq!(process.start, Duration::from_millis(123_450));
        assert_eq!((process.nice, process.threads), (5, 3));
        assert_eq!((process.virtual_kib, process.resident_kib), (8000, 1000));
        assert!(Process::parse("no process").is_none());
    }

    #[test]
    fn this_process_is_found() {
        let pid = i32::try_from(std::process::id()).expect("small");
        let process = Process::read(pid).expect("it runs");
        assert_eq!(process.pid, pid);
        assert!(process.resident_kib > 0);
        assert!(!process.arguments.is_empty());
    }
}
