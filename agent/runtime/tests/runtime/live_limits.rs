//! Limits that change while a container runs.

use std::fs;

use berth_agent_runtime::{AttachFrom, ControlError};
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};

use crate::support::{Container, attach, edit, end, read_until};

const MIB: i64 = 1 << 20;

fn resources(value: Value) -> LinuxResources {
    serde_json::from_value(value).expect("resources")
}

#[tokio::test]
async fn memory_and_swap_are_raised_and_lowered_together() {
    let container = Container::new();
    let mut request = container.script("sleep 1000");
    edit(&mut request, |spec| {
        spec["linux"]["resources"]["memory"] = json!({"limit": 32 * MIB, "swap": 48 * MIB});
    });
    let running = container.start(request).await;
    let group = container.group_in("memory");
    let read = |name: &str| {
        let text = fs::read_to_string(group.join(name)).unwrap();
        text.trim().parse::<i64>().unwrap()
    };
    // Past the limit of both, back below the former limit of memory, and to another limit of memory alone.
    for (memory, both) in [(64, 96), (16, 24), (128, 128), (8, 200)] {
        let wanted = resources(json!({"memory": {"limit": memory * MIB, "swap": both * MIB}}));
        assert_eq!(running.update(wanted).await.unwrap(), Vec::<String>::new());
        assert_eq!(read("memory.limit_in_bytes"), memory * MIB);
        assert_eq!(read("memory.memsw.limit_in_bytes"), both * MIB);
    }
    let more = resources(json!({"memory": {"limit": 100 * MIB}}));
    running.update(more).await.unwrap();
    assert_eq!(read("memory.memsw.limit_in_bytes"), 200 * MIB);
    let unlimited = resources(json!({"memory": {"limit": -1}}));
    running.update(unlimited).await.unwrap();
    assert!(read("memory.limit_in_bytes") > 1 << 50);
    assert!(read("memory.memsw.limit_in_bytes") > 1 << 50);
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn processor_time_and_processes_change_and_the_rest_stays() {
    let container = Container::new();
    let mut request = container.script("sleep 1000");
    edit(&mut request, |spec| {
        spec["linux"]["resources"]["cpu"] =
            json!({"quota": 50_000, "period": 100_000, "shares": 512});
        spec["linux"]["resources"]["pids"] = json!({"limit": 42});
    });
    let running = container.start(request).await;
    let read = |hierarchy: &str, name: &str| {
        let text = fs::read_to_string(container.group_in(hierarchy).join(name)).unwrap();
        text.trim().to_owned()
    };
    let faster = resources(json!({"cpu": {"quota": 8_000, "period": 10_000}}));
    running.update(faster).await.unwrap();
    assert_eq!(read("cpu", "cpu.cfs_period_us"), "10000");
    assert_eq!(read("cpu", "cpu.cfs_quota_us"), "8000");
    assert_eq!(read("cpu", "cpu.shares"), "512");
    assert_eq!(read("pids", "pids.max"), "42");
    let free = resources(json!({"cpu": {"quota": -1}, "pids": {"limit": -1}}));
    running.update(free).await.unwrap();
    assert_eq!(read("cpu", "cpu.cfs_quota_us"), "-1");
    assert_eq!(read("pids", "pids.max"), "max");
    let devices = read("devices", "devices.list");
    let wanted = resources(json!({"devices": [{"allow": true, "access": "rwm"}],
        "cpu": {"shares": 1024}}));
    running.update(wanted).await.unwrap();
    assert_eq!(read("cpu", "cpu.shares"), "1024");
    assert_eq!(read("devices", "devices.list"), devices);
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn what_the_kernel_refuses_is_told_with_its_reason() {
    let container = Container::new();
    let request = container.script("x=$(seq 1 400000); echo full; while :; do sleep 1; done");
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "full").await;
    let too_little = resources(json!({"memory": {"limit": 4096}}));
    let error = running.update(too_little).await.unwrap_err();
    let ControlError::Refused { message, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        message.starts_with("unable to set memory limit to 4096 (current usage: "),
        "{message}"
    );
    let nowhere = resources(json!({"cpu": {"cpus": "4000"}}));
    let error = running.update(nowhere).await.unwrap_err();
    assert!(matches!(error, ControlError::Refused { .. }), "{error}");
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
    let error = running
        .update(resources(json!({"pids": {"limit": 9}})))
        .await
        .unwrap_err();
    assert!(matches!(error, ControlError::NotRunning { .. }), "{error}");
}
