//! Checks of processor time and of the choice of processors and memory nodes.

use super::kernel::KernelLimits;
use super::{LimitError, Warnings};
use crate::options::{HostOptions, ResourceOptions};

/// Billionths in a whole.
const NANO: i64 = 1_000_000_000;

pub(super) fn verify(
    host: &mut HostOptions,
    kernel: &KernelLimits,
    warnings: &mut Warnings,
) -> Result<(), LimitError> {
    let more = &mut host.resources;
    if host.nano_cpus > 0 {
        if more.cpu_period_micros > 0 {
            return Err(LimitError::ProcessorsTwice("CPU Period"));
        }
        if more.cpu_quota_micros > 0 {
            return Err(LimitError::ProcessorsTwice("CPU Quota"));
        }
        if !kernel.cpu_quota {
            return Err(LimitError::NoQuota);
        }
    }
    let most = i64::try_from(kernel.n_cpus)
        .unwrap_or(i64::MAX)
        .saturating_mul(NANO);
    if !(0..=most).contains(&host.nano_cpus) {
        return Err(LimitError::Processors(kernel.n_cpus));
    }
    if host.cpu_shares > 0 && !kernel.cpu_shares {
        warnings.add("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.");
        host.cpu_shares = 0;
    }
    if (more.cpu_period_micros != 0 || more.cpu_quota_micros != 0) && !kernel.cpu_quota {
        warnings.add("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
        more.cpu_period_micros = 0;
        more.cpu_quota_micros = 0;
    }
    if more.cpu_period_micros != 0 && !(1_000..=1_000_000).contains(&more.cpu_period_micros) {
        return Err(LimitError::Period);
    }
    if (1..1_000).contains(&more.cpu_quota_micros) {
        return Err(LimitError::Quota);
    }
    realtime(more, kernel)?;
    choice(more, kernel, warnings)
}

fn realtime(more: &ResourceOptions, kernel: &KernelLimits) -> Result<(), LimitError> {
    let (period, runtime) = (
        more.cpu_realtime_period_micros,
        more.cpu_realtime_runtime_micros,
    );
    if (period != 0 || runtime != 0) && !kernel.cpu_realtime {
        return Err(LimitError::NoRealtime);
    }
    if period != 0 && runtime > period {
        return Err(LimitError::Realtime);
    }
    Ok(())
}

fn choice(
    more: &mut ResourceOptions,
    kernel: &KernelLimits,
    warnings: &mut Warnings,
) -> Result<(), LimitError> {
    if (!more.cpuset_cpus.is_empty() || !more.cpuset_mems.is_empty()) && !kernel.cpuset {
        warnings.add(
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
        );
        more.cpuset_cpus.clear();
        more.cpuset_mems.clear();
    }
    let checks = [
        (
            "cpus",
            "CPUs",
            &more.cpuset_cpus,
            &kernel.cpus,
            kernel.has_cpus(&more.cpuset_cpus),
        ),
        (
            "mems",
            "memory nodes",
            &more.cpuset_mems,
            &kernel.mems,
            kernel.has_mems(&more.cpuset_mems),
        ),
    ];
    for (short, what, asked, available, result) in checks {
        if !result.map_err(|reason| LimitError::list(short, asked, &reason))? {
            return Err(LimitError::Unavailable {
                what,
                asked: asked.clone(),
                available: available.clone(),
            });
        }
    }
    Ok(())
}
