//! Limits of block devices, which the kernel knows by number.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use nix::sys::stat::{major, minor};
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxThrottleDevice, LinuxThrottleDeviceBuilder,
    LinuxWeightDeviceBuilder,
};

use crate::options::{ResourceOptions, ThrottleDevice};
use crate::spec::SpecError;

/// Returns the limits, nothing when there are none.
pub(super) fn block_io(limits: &ResourceOptions) -> Result<Option<LinuxBlockIo>, SpecError> {
    let mut io = LinuxBlockIoBuilder::default();
    if limits.blkio_weight > 0 {
        io = io.weight(limits.blkio_weight);
    }
    let weights = limits
        .blkio_weight_device
        .iter()
        .map(|device| {
            let (major, minor) = numbers(&device.path)?;
            let weight = LinuxWeightDeviceBuilder::default()
                .major(major)
                .minor(minor)
                .weight(device.weight);
            Ok(weight.build()?)
        })
        .collect::<Result<Vec<_>, SpecError>>()?;
    if !weights.is_empty() {
        io = io.weight_device(weights);
    }
    if let Some(list) = throttles(&limits.device_read_bps)? {
        io = io.throttle_read_bps_device(list);
    }
    if let Some(list) = throttles(&limits.device_write_bps)? {
        io = io.throttle_write_bps_device(list);
    }
    if let Some(list) = throttles(&limits.device_read_iops)? {
        io = io.throttle_read_iops_device(list);
    }
    if let Some(list) = throttles(&limits.device_write_iops)? {
        io = io.throttle_write_iops_device(list);
    }
    let built = io.build()?;
    Ok((built != LinuxBlockIo::default()).then_some(built))
}

fn throttles(devices: &[ThrottleDevice]) -> Result<Option<Vec<LinuxThrottleDevice>>, SpecError> {
    let throttle = |device: &ThrottleDevice| {
        let (major, minor) = numbers(&device.path)?;
        let built: Result<_, OciSpecError> = LinuxThrottleDeviceBuilder::default()
            .major(major)
            .minor(minor)
            .rate(device.rate)
            .build();
        Ok(built?)
    };
    let list = devices
        .iter()
        .map(throttle)
        .collect::<Result<Vec<_>, SpecError>>()?;
    Ok((!list.is_empty()).then_some(list))
}

fn numbers(path: &str) -> Result<(i64, i64), SpecError> {
    let look = || {
        let metadata = fs::metadata(path)?;
        if !metadata.file_type().is_block_device() {
            return Err(io::Error::other("not a block device"));
        }
        let number = |n: u64| i64::try_from(n).map_err(io::Error::other);
        Ok((
            number(major(metadata.rdev()))?,
            number(minor(metadata.rdev()))?,
        ))
    };
    look().map_err(|source| SpecError::BlockDevice {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_block_device_cannot_be_limited() {
        for path in ["/nowhere", "/dev/null", "/etc/passwd"] {
            let limits = ResourceOptions {
                device_read_bps: vec![ThrottleDevice {
                    path: path.to_owned(),
                    rate: 1,
                }],
                ..ResourceOptions::default()
            };
            assert!(
                matches!(block_io(&limits), Err(SpecError::BlockDevice { .. })),
                "{path}"
            );
        }
    }
}
