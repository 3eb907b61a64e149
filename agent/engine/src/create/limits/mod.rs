//! Checks limits, at creation and when they are changed later. What this kernel cannot limit is
//! taken out with a warning; what no kernel could do is an error. Texts are Docker's.

mod blkio;
pub(crate) mod cpuset;
pub(crate) mod kernel;
mod processors;

use crate::class::{Classified, ErrorClass};
use crate::options::HostOptions;

use cpuset::InvalidList;
use kernel::KernelLimits;

/// Least memory that a container can be limited to.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;

/// Limits that cannot be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Less memory than any container needs.
    #[error("Minimum memory limit allowed is 6MB")]
    Memory,
    /// Memory and swap together are less than memory.
    #[error("Minimum memoryswap limit should be larger than memory limit, see usage")]
    SwapBelowMemory,
    /// Swap is limited, memory is not.
    #[error("You should always set the Memory limit when using Memoryswap limit, see usage")]
    SwapWithoutMemory,
    /// Not from 0 to 100.
    #[error("Invalid value: {0}, valid memory swappiness range is 0-100")]
    Swappiness(i64),
    /// Less memory than any container needs.
    #[error("Minimum memory reservation allowed is 6MB")]
    Reservation,
    /// More is reserved than there may be.
    #[error("Minimum memory limit can not be less than memory reservation limit, see usage")]
    ReservationAboveMemory,
    /// The same asked for in two ways.
    #[error("Conflicting options: Nano CPUs and {0} cannot both be set")]
    ProcessorsTwice(&'static str),
    /// The kernel cannot, and there is nothing that would do instead.
    #[error(
        "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted"
    )]
    NoQuota,
    /// More processors than there are, or less than none.
    #[error("Range of CPUs is from 0.01 to {0}.00, as there are only {0} CPUs available")]
    Processors(usize),
    /// Not what the kernel takes.
    #[error("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")]
    Period,
    /// Not what the kernel takes.
    #[error("CPU cfs quota can not be less than 1ms (i.e. 1000)")]
    Quota,
    /// The kernel cannot.
    #[error("kernel does not support CPU real-time scheduler")]
    NoRealtime,
    /// More time than there is.
    #[error("cpu real-time runtime cannot be higher than cpu real-time period")]
    Realtime,
    /// Not a list.
    #[error("Invalid value {value} for cpuset {what}: {reason}")]
    List {
        /// `cpus` or `mems`.
        what: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not all of them are here.
    #[error("Requested {what} are not available - requested {asked}, available: {available}")]
    Unavailable {
        /// `CPUs` or `memory nodes`.
        what: &'static str,
        /// What was given.
        asked: String,
        /// What there is.
        available: String,
    },
    /// Not from 10 to 1000.
    #[error("Range of blkio weight is from 10 to 1000")]
    Weight,
    /// Not from 10 to 1000.
    #[error("invalid weight for device: {0}")]
    DeviceWeight(String),
}

/// Checks all limits, and takes out what this kernel cannot do. `is_update`: of a container that
/// exists, whose other limits stay.
///
/// # Errors
/// When a limit makes no sense.
pub(crate) fn verify(
    host: &mut HostOptions,
    kernel: &KernelLimits,
    is_update: bool,
) -> Result<Vec<String>, LimitError> {
    let mut warnings = Warnings::default();
    memory(host, kernel, is_update, &mut warnings)?;
    if host.pids_limit != 0 && !kernel.pids {
        if host.pids_limit > 0 {
            warnings.add("Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.");
        }
        host.pids_limit = 0;
    }
    processors::verify(host, kernel, &mut warnings)?;
    blkio::verify(&mut host.resources, kernel, &mut warnings)?;
    Ok(warnings.0)
}

#[derive(Default)]
struct Warnings(Vec<String>);

impl Warnings {
    fn add(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

fn memory(
    host: &mut HostOptions,
    kernel: &KernelLimits,
    is_update: bool,
    warnings: &mut Warnings,
) -> Result<(), LimitError> {
    if host.memory_bytes != 0 && host.memory_bytes < LEAST_MEMORY {
        return Err(LimitError::Memory);
    }
    let more = &mut host.resources;
    // -1 is how clients of old say that they do not care.
    more.memory_swappiness = more.memory_swappiness.filter(|value| *value != -1);
    if host.memory_bytes > 0 && !kernel.memory {
        warnings.add("Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.");
        host.memory_bytes = 0;
        more.memory_swap_bytes = -1;
    }
    if host.memory_bytes > 0 && more.memory_swap_bytes != -1 && !kernel.swap {
        warnings.add("Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.");
        more.memory_swap_bytes = -1;
    }
    match more.memory_swap_bytes {
        swap @ 1.. if host.memory_bytes > 0 && swap < host.memory_bytes => {
            return Err(LimitError::SwapBelowMemory);
        }
        1.. if host.memory_bytes == 0 && !is_update => return Err(LimitError::SwapWithoutMemory),
        _ => {}
    }
    if more.memory_swappiness.is_some() && !kernel.swappiness {
        warnings.add("Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.");
        more.memory_swappiness = None;
    }
    if let Some(value) = more.memory_swappiness.filter(|v| !(0..=100).contains(v)) {
        return Err(LimitError::Swappiness(value));
    }
    if more.memory_reservation_bytes > 0 && !kernel.reservation {
        warnings.add("Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.");
        more.memory_reservation_bytes = 0;
    }
    match more.memory_reservation_bytes {
        1..LEAST_MEMORY => return Err(LimitError::Reservation),
        asked if host.memory_bytes > 0 && asked > host.memory_bytes => {
            return Err(LimitError::ReservationAboveMemory);
        }
        _ => {}
    }
    out_of_memory(host, kernel, warnings);
    Ok(())
}

fn out_of_memory(host: &mut HostOptions, kernel: &KernelLimits, warnings: &mut Warnings) {
    let more = &mut host.resources;
    let is_off = more.oom_kill_disable == Some(true);
    if more.oom_kill_disable.is_some() && !kernel.oom_kill_disable {
        // Who wanted it on anyway is not bothered.
        if is_off {
            warnings.add("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
        }
        more.oom_kill_disable = None;
    } else if is_off && host.memory_bytes == 0 {
        warnings.add("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.");
    }
    if more.kernel_memory_tcp_bytes > 0 && !kernel.kernel_memory_tcp {
        warnings.add("Your kernel does not support kernel memory TCP limit capabilities or the cgroup is not mounted. Limitation discarded.");
        more.kernel_memory_tcp_bytes = 0;
    }
}

impl LimitError {
    fn list(what: &'static str, value: &str, reason: &InvalidList) -> Self {
        Self::List {
            what,
            value: value.to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl Classified for LimitError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidArgument
    }

    fn reason(&self) -> &'static str {
        "invalid-limit"
    }
}

#[cfg(test)]
mod tests;
