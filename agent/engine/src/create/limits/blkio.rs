//! Checks of limits of block devices.

use super::kernel::KernelLimits;
use super::{LimitError, Warnings};
use crate::options::{ResourceOptions, ThrottleDevice};

pub(super) fn verify(
    more: &mut ResourceOptions,
    kernel: &KernelLimits,
    warnings: &mut Warnings,
) -> Result<(), LimitError> {
    let is_weight = |weight: u16| (10..=1000).contains(&weight);
    if more.blkio_weight > 0 && !is_weight(more.blkio_weight) {
        return Err(LimitError::Weight);
    }
    // A weight of 0 takes a device's own weight away.
    let wrong = |weight: u16| weight != 0 && !is_weight(weight);
    if let Some(device) = more.blkio_weight_device.iter().find(|d| wrong(d.weight)) {
        return Err(LimitError::DeviceWeight(format!(
            "{}:{}",
            device.path, device.weight
        )));
    }
    if more.blkio_weight > 0 && !kernel.blkio_weight {
        warnings.add("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
        more.blkio_weight = 0;
    }
    if !more.blkio_weight_device.is_empty() && !kernel.blkio_weight_device {
        warnings.add("Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.");
        more.blkio_weight_device.clear();
    }
    let throttles: [(&mut Vec<ThrottleDevice>, &str); 4] = [
        (
            &mut more.device_read_bps,
            "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
        ),
        (
            &mut more.device_write_bps,
            "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.",
        ),
        (
            &mut more.device_read_iops,
            "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.",
        ),
        (
            &mut more.device_write_iops,
            "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
        ),
    ];
    for (list, warning) in throttles {
        if !list.is_empty() && !kernel.blkio_throttle {
            warnings.add(warning);
            list.clear();
        }
    }
    Ok(())
}
