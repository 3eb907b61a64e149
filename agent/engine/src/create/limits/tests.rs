//! Tests of the checks against kernels that can everything and nothing.

use super::*;
use crate::options::{ResourceOptions, ThrottleDevice};

const MEBIBYTE: i64 = 1024 * 1024;

fn able() -> KernelLimits {
    KernelLimits {
        memory: true,
        swap: true,
        swappiness: true,
        reservation: true,
        oom_kill_disable: true,
        kernel_memory_tcp: true,
        pids: true,
        cpu_shares: true,
        cpu_quota: true,
        cpu_realtime: true,
        cpuset: true,
        blkio_weight: true,
        blkio_weight_device: true,
        blkio_throttle: true,
        cgroup_namespaces: true,
        cpus: "0-1".to_owned(),
        mems: "0".to_owned(),
        n_cpus: 2,
    }
}

fn refused(host: HostOptions) -> String {
    let mut host = host;
    match verify(&mut host, &able(), false) {
        Err(error) => error.to_string(),
        Ok(_) => "accepted".to_owned(),
    }
}

fn more(memory_bytes: i64, resources: ResourceOptions) -> HostOptions {
    HostOptions {
        memory_bytes,
        resources,
        ..HostOptions::default()
    }
}

#[test]
fn memory_is_checked_against_its_relations() {
    let none = ResourceOptions::default;
    assert_eq!(
        refused(more(6 * MEBIBYTE - 1, none())),
        "Minimum memory limit allowed is 6MB"
    );
    assert_eq!(refused(more(6 * MEBIBYTE, none())), "accepted");
    let swap = |memory_swap_bytes| ResourceOptions {
        memory_swap_bytes,
        ..none()
    };
    assert_eq!(
        refused(more(8 * MEBIBYTE, swap(7 * MEBIBYTE))),
        "Minimum memoryswap limit should be larger than memory limit, see usage"
    );
    assert_eq!(
        refused(more(0, swap(7 * MEBIBYTE))),
        "You should always set the Memory limit when using Memoryswap limit, see usage"
    );
    assert_eq!(refused(more(8 * MEBIBYTE, swap(-1))), "accepted");
    let reservation = |memory_reservation_bytes| ResourceOptions {
        memory_reservation_bytes,
        ..none()
    };
    assert_eq!(
        refused(more(0, reservation(1))),
        "Minimum memory reservation allowed is 6MB"
    );
    assert_eq!(
        refused(more(8 * MEBIBYTE, reservation(9 * MEBIBYTE))),
        "Minimum memory limit can not be less than memory reservation limit, see usage"
    );
    let swappiness = |value| ResourceOptions {
        memory_swappiness: Some(value),
        ..none()
    };
    assert_eq!(
        refused(more(0, swappiness(101))),
        "Invalid value: 101, valid memory swappiness range is 0-100"
    );
    assert_eq!(refused(more(0, swappiness(-1))), "accepted");
}

#[test]
fn processors_are_checked_against_what_there_is() {
    let cpus = |nano_cpus, resources| HostOptions {
        nano_cpus,
        resources,
        ..HostOptions::default()
    };
    let none = ResourceOptions::default;
    let range = "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available";
    assert_eq!(refused(cpus(2_000_000_001, none())), range);
    assert_eq!(refused(cpus(-1, none())), range);
    let period = ResourceOptions {
        cpu_period_micros: 5_000,
        ..none()
    };
    assert_eq!(
        refused(cpus(1, period)),
        "Conflicting options: Nano CPUs and CPU Period cannot both be set"
    );
    let quota = ResourceOptions {
        cpu_quota_micros: 999,
        ..none()
    };
    assert_eq!(
        refused(cpus(0, quota)),
        "CPU cfs quota can not be less than 1ms (i.e. 1000)"
    );
    let list = |text: &str| ResourceOptions {
        cpuset_cpus: text.to_owned(),
        ..none()
    };
    assert_eq!(
        refused(cpus(0, list("0-5"))),
        "Requested CPUs are not available - requested 0-5, available: 0-1"
    );
    assert_eq!(
        refused(cpus(0, list("x"))),
        "Invalid value x for cpuset cpus: invalid format: x"
    );
}

#[test]
fn a_kernel_that_cannot_is_a_warning_for_each_limit() {
    let mut host = HostOptions {
        memory_bytes: 8 * MEBIBYTE,
        pids_limit: 5,
        cpu_shares: 5,
        resources: ResourceOptions {
            memory_swappiness: Some(5),
            memory_reservation_bytes: 7 * MEBIBYTE,
            oom_kill_disable: Some(true),
            cpu_quota_micros: 5_000,
            cpuset_cpus: "0".to_owned(),
            blkio_weight: 100,
            device_read_bps: vec![ThrottleDevice::default()],
            ..ResourceOptions::default()
        },
        ..HostOptions::default()
    };
    let kernel = KernelLimits {
        n_cpus: 1,
        ..KernelLimits::default()
    };
    let warnings = verify(&mut host, &kernel, false).expect("no error");
    assert_eq!(warnings.len(), 10, "{warnings:#?}");
    let left = HostOptions {
        resources: ResourceOptions {
            memory_swap_bytes: -1,
            ..ResourceOptions::default()
        },
        ..HostOptions::default()
    };
    assert_eq!(host, left);
}
