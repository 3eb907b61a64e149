//! Control groups and limits.

use std::fs;
use std::path::Path;

use berth_agent_runtime::AttachFrom;
use serde_json::json;

use crate::support::{Container, attach, edit, end, exec_request, read_until, until, within};

#[tokio::test]
async fn memory_and_processes_are_limited() {
    let container = Container::new();
    let mut request = container
        .script("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max");
    edit(&mut request, |spec| {
        spec["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
        spec["linux"]["resources"]["pids"] = json!({"limit": 42});
    });
    let (_, output) = container.run(request).await;
    assert_eq!(output, "67108864\n42\n");
}

#[tokio::test]
async fn running_out_of_memory_is_recorded() {
    let container = Container::new();
    // Without swap accounting the kernel would rather swap; machines in tests have no swap.
    let mut request = container.script("x=$(seq 1 4000000); echo survived");
    edit(&mut request, |spec| {
        spec["linux"]["resources"]["memory"] = json!({"limit": 8_388_608, "swap": 8_388_608});
    });
    let (record, output) = container.run(request).await;
    assert!(record.oom_killed, "{record:?} {output}");
    assert_eq!(record.code, 137);
}

#[tokio::test]
async fn devices_that_are_not_allowed_cannot_be_opened_even_if_made() {
    let container = Container::new();
    let output = container
        .run_script("mknod /tmp/mem c 1 1; dd if=/tmp/mem bs=1 count=1 2>&1 | grep -c permitted; echo x > /dev/null && echo ok")
        .await;
    assert_eq!(output, "1\nok\n");
}

#[tokio::test]
async fn a_paused_container_does_not_run_and_still_dies() {
    let container = Container::new();
    let running = container
        .start(container.script("i=0; while :; do echo tick; sleep 0.01; done"))
        .await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "tick").await;
    running.pause().await.unwrap();
    let length = || {
        fs::metadata(container.bundle().join("container.log"))
            .unwrap()
            .len()
    };
    // What was in the pipe when it froze is moved within a turn of the supervisor's loop, which answers in order.
    running.resume().await.unwrap();
    let before = length();
    until("it ticks again", || length() > before).await;
    running.pause().await.unwrap();
    let state = container.group_in("freezer").join("freezer.state");
    assert_eq!(fs::read_to_string(state).unwrap(), "FROZEN\n");
    let error = within(running.exec(exec_request(&["true"])))
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("the container is paused"),
        "{error}"
    );
    running.signal(libc::SIGKILL).await.unwrap();
    assert_eq!(end(&running).await.code, 137);
}

#[tokio::test]
async fn a_limit_that_the_machine_cannot_set_is_a_warning() {
    let container = Container::new();
    let mut request = container.request(&["true"]);
    edit(&mut request, |spec| {
        spec["linux"]["resources"]["hugepageLimits"] = json!([{"pageSize": "2MB", "limit": 0}]);
        spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]);
    });
    let running = container.start(request).await;
    let warned = running
        .warnings()
        .iter()
        .any(|warning| warning.contains("huge pages"));
    let has_controller = Path::new("/sys/fs/cgroup/hugetlb").exists();
    assert!(warned || has_controller, "{:?}", running.warnings());
    end(&running).await;
}

#[tokio::test]
async fn limits_of_files_are_the_containers() {
    let container = Container::new();
    let mut request = container.script("ulimit -Sn; ulimit -Hn");
    edit(&mut request, |spec| {
        spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]);
    });
    assert_eq!(container.run(request).await.1, "64\n128\n");
}

#[tokio::test]
async fn a_container_with_the_machines_processes_leaves_none_behind() {
    let container = Container::new();
    let mut request = container.script("sleep 1000 & echo $!; echo up");
    edit(&mut request, |spec| {
        let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    let (record, output) = container.run(request).await;
    assert_eq!(record.code, 0);
    let pid = output.lines().next().unwrap().to_owned();
    until("the process in the background is killed", || {
        fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .map_or(true, |line| !line.contains("sleep"))
    })
    .await;
}

#[tokio::test]
async fn willingness_to_die_for_memory_is_the_containers() {
    let container = Container::new();
    let mut request = container.script("cat /proc/self/oom_score_adj");
    edit(&mut request, |spec| {
        spec["process"]["oomScoreAdj"] = json!(321);
    });
    assert_eq!(container.run(request).await.1, "321\n");
    // Less than the agent has takes a capability that machines made of containers lack.
    let mut request = container.script("true");
    edit(&mut request, |spec| {
        spec["process"]["oomScoreAdj"] = json!(-999);
    });
    let running = container.start(request).await;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:\t"))
        .unwrap();
    let has_capability = u64::from_str_radix(line, 16).unwrap() >> 24 & 1 == 1;
    let warned = running
        .warnings()
        .iter()
        .any(|warning| warning.contains("oom_score_adj -999"));
    assert_eq!(warned, !has_capability, "{:?}", running.warnings());
    end(&running).await;
}
