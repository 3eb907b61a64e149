//! The way back from limits that were changed only in part.
//!
//! To the kernel a limit that is not asked for is one that stays. What had no limit before a change that
//! failed must therefore be told what it is without one.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxCpu, LinuxMemory, LinuxPidsBuilder, LinuxResources,
};

use crate::create::limits::kernel::KernelLimits;
use crate::options::HostOptions;
use crate::spec::{self, SpecError};

/// What the kernel has where nobody asks for anything else.
const SHARES: u64 = 1024;
/// What becomes a weight of 100 there, which is what groups of the second version have.
const SHARES_UNIFIED: u64 = 2598;
const PERIOD_MICROS: u64 = 100_000;
const REALTIME_PERIOD_MICROS: u64 = 1_000_000;
const IO_WEIGHT: u16 = 500;

/// Returns the limits of `before`, with words for everything that only `after` limits.
///
/// # Errors
/// When a device that is limited cannot be looked at.
pub(super) fn resources(
    before: &HostOptions,
    after: &HostOptions,
    kernel: &KernelLimits,
    is_unified: bool,
) -> Result<LinuxResources, SpecError> {
    let mut former = spec::cgroup::resources(before)?;
    let tried = spec::cgroup::resources(after)?;
    if let Some(tried) = tried.memory() {
        let memory = memory(former.memory().unwrap_or_default(), tried);
        former.set_memory(Some(memory));
    }
    if let Some(tried) = tried.cpu() {
        let cpu = cpu(
            former.cpu().clone().unwrap_or_default(),
            tried,
            kernel,
            is_unified,
        );
        former.set_cpu(Some(cpu));
    }
    if tried.pids().is_some() && former.pids().is_none() {
        former.set_pids(Some(LinuxPidsBuilder::default().limit(-1).build()?));
    }
    if let Some(tried) = tried.block_io() {
        let has_weight = |io: &LinuxBlockIo| io.weight().is_some();
        if has_weight(tried) && !former.block_io().as_ref().is_some_and(has_weight) {
            // Devices of their own are no part of what can be changed.
            if is_unified {
                // No weight of the other scale is that of groups without one.
                let own = [("io.weight".to_owned(), "default 100".to_owned())];
                former.set_unified(Some(own.into()));
            } else {
                let io = LinuxBlockIoBuilder::default().weight(IO_WEIGHT);
                former.set_block_io(Some(io.build()?));
            }
        }
    }
    Ok(former)
}

fn memory(mut former: LinuxMemory, tried: &LinuxMemory) -> LinuxMemory {
    let unlimited = |had: Option<i64>, tried: Option<i64>| had.or_else(|| tried.map(|_limit| -1));
    former.set_limit(unlimited(former.limit(), tried.limit()));
    former.set_swap(unlimited(former.swap(), tried.swap()));
    former.set_reservation(unlimited(former.reservation(), tried.reservation()));
    former
}

fn cpu(
    mut former: LinuxCpu,
    tried: &LinuxCpu,
    kernel: &KernelLimits,
    is_unified: bool,
) -> LinuxCpu {
    let shares = if is_unified { SHARES_UNIFIED } else { SHARES };
    let or = |had: Option<u64>, tried: Option<u64>, usual| had.or_else(|| tried.map(|_| usual));
    former.set_shares(or(former.shares(), tried.shares(), shares));
    former.set_period(or(former.period(), tried.period(), PERIOD_MICROS));
    former.set_quota(former.quota().or_else(|| tried.quota().map(|_| -1)));
    let period = or(
        former.realtime_period(),
        tried.realtime_period(),
        REALTIME_PERIOD_MICROS,
    );
    former.set_realtime_period(period);
    let runtime = tried.realtime_runtime().map(|_| 0);
    former.set_realtime_runtime(former.realtime_runtime().or(runtime));
    let all = |had: &Option<String>, tried: &Option<String>, all: &String| {
        had.clone().or_else(|| tried.as_ref().map(|_| all.clone()))
    };
    former.set_cpus(all(former.cpus(), tried.cpus(), &kernel.cpus));
    former.set_mems(all(former.mems(), tried.mems(), &kernel.mems));
    former
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::ResourceOptions;

    fn kernel() -> KernelLimits {
        KernelLimits {
            cpus: "0-3".to_owned(),
            mems: "0".to_owned(),
            ..KernelLimits::default()
        }
    }

    #[test]
    fn what_had_no_limit_gets_none_again_and_what_had_one_gets_it() {
        let before = HostOptions {
            cpu_shares: 7,
            ..HostOptions::default()
        };
        let after = HostOptions {
            memory_bytes: 64 << 20,
            nano_cpus: 500_000_000,
            cpu_shares: 9,
            pids_limit: 5,
            resources: ResourceOptions {
                cpuset_cpus: "1".to_owned(),
                memory_reservation_bytes: 1 << 20,
                blkio_weight: 10,
                ..ResourceOptions::default()
            },
            ..HostOptions::default()
        };
        let undone = resources(&before, &after, &kernel(), false).expect("built");
        let memory = undone.memory().expect("memory");
        assert_eq!(
            (memory.limit(), memory.swap(), memory.reservation()),
            (Some(-1), Some(-1), Some(-1))
        );
        let cpu = undone.cpu().clone().expect("cpu");
        assert_eq!((cpu.shares(), cpu.quota()), (Some(7), Some(-1)));
        assert_eq!(cpu.period(), Some(PERIOD_MICROS));
        assert_eq!(cpu.cpus().as_deref(), Some("0-3"));
        assert_eq!(cpu.mems(), &None);
        assert_eq!(undone.pids().map(|pids| pids.limit()), Some(-1));
        let io = undone.block_io().clone().expect("block I/O");
        assert_eq!(io.weight(), Some(IO_WEIGHT));
        // The second version's groups have other weights when nobody asks for one.
        let asked = HostOptions::default();
        let undone = resources(&asked, &after, &kernel(), true).expect("built");
        let cpu = undone.cpu().clone().expect("cpu");
        assert_eq!(cpu.shares(), Some(SHARES_UNIFIED));
        assert!(undone.block_io().is_none());
        let own = undone.unified().clone().expect("weights");
        assert_eq!(own["io.weight"], "default 100");
    }

    #[test]
    fn what_was_not_touched_is_not_named() {
        let before = HostOptions {
            memory_bytes: 64 << 20,
            ..HostOptions::default()
        };
        let undone = resources(&before, &before, &kernel(), false).expect("built");
        assert_eq!(undone, spec::cgroup::resources(&before).expect("built"));
    }
}
