//! Processor time.

use std::fs;

use nix::time::{ClockId, clock_gettime};

use super::text::{Files, pairs};
use super::{CpuCounters, MachineTime};

const NANOS: u64 = 1_000_000_000;

/// Length of the ticks that the kernel counts in towards programs, whatever it has itself: 100 a second.
const TICK: u64 = NANOS / 100;

pub(super) fn read_v1(files: &mut Files, cpu: &mut CpuCounters) {
    cpu.usage_nanos = files.number("cpuacct.usage");
    let per_cpu = files.text("cpuacct.usage_percpu").split_whitespace();
    cpu.per_cpu_nanos = per_cpu.filter_map(|n| n.parse().ok()).collect();
    for (name, ticks) in pairs(files.text("cpuacct.stat")) {
        match name {
            "user" => cpu.user_nanos = ticks * TICK,
            "system" => cpu.kernel_nanos = ticks * TICK,
            _ => {}
        }
    }
}

pub(super) fn read_throttling_v1(files: &mut Files, cpu: &mut CpuCounters) {
    for (name, number) in pairs(files.text("cpu.stat")) {
        match name {
            "nr_periods" => cpu.periods = number,
            "nr_throttled" => cpu.throttled_periods = number,
            "throttled_time" => cpu.throttled_nanos = number,
            _ => {}
        }
    }
}

pub(super) fn read_unified(files: &mut Files, cpu: &mut CpuCounters) {
    for (name, number) in pairs(files.text("cpu.stat")) {
        match name {
            "usage_usec" => cpu.usage_nanos = number * 1000,
            "user_usec" => cpu.user_nanos = number * 1000,
            "system_usec" => cpu.kernel_nanos = number * 1000,
            "nr_periods" => cpu.periods = number,
            "nr_throttled" => cpu.throttled_periods = number,
            "throttled_usec" => cpu.throttled_nanos = number * 1000,
            _ => {}
        }
    }
}

/// Returns the time that all processors have had since the machine started. It is taken from the clock, whose steps are
/// finer than those of the kernel's own sum.
pub(super) fn of_machine() -> MachineTime {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let cpus = count(online.trim()).max(1);
    let since_boot = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds * NANOS + u64::try_from(time.tv_nsec()).unwrap_or(0)
    });
    MachineTime {
        nanos: since_boot * u64::from(cpus),
        cpus,
    }
}

/// Counts what a list such as `0-2,4` names.
fn count(list: &str) -> u32 {
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        Some(last.checked_sub(first)? + 1)
    });
    ranges.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_in_the_kernels_lists() {
        assert_eq!(count("0-1"), 2);
        assert_eq!(count("0,2-4,7"), 5);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn times_of_version_two_are_microseconds() {
        let dir = tempfile::tempdir().unwrap();
        let text = "usage_usec 70\nuser_usec 50\nsystem_usec 20\nnr_periods 3\nnr_throttled 1\nthrottled_usec 9\n";
        fs::write(dir.path().join("cpu.stat"), text).unwrap();
        let (mut files, mut cpu) = (Files::default(), CpuCounters::default());
        files.enter(dir.path());
        read_unified(&mut files, &mut cpu);
        let expected = CpuCounters {
            usage_nanos: 70_000,
            user_nanos: 50_000,
            kernel_nanos: 20_000,
            per_cpu_nanos: Vec::new(),
            periods: 3,
            throttled_periods: 1,
            throttled_nanos: 9_000,
        };
        assert_eq!(cpu, expected);
    }
}
