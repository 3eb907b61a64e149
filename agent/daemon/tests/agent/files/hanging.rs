//! File systems that never answer, where containers have them mounted.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;

use berth_proto::v1::HostConfig;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{Files, sleeper, with_host};
use crate::host::{Host, PATIENCE, until};

/// How many archives the agent has on their way at once, and how many threads for all else that blocks.
const PLACES: usize = 64;

/// Mounts a file system that nobody serves, for as long as what is returned is open: whoever looks at it waits.
fn hang(host: &Host, name: &str) -> File {
    let served = File::options().read(true).write(true).open("/dev/fuse");
    let served = served.expect("FUSE");
    fcntl(&served, FcntlArg::F_SETFD(FdFlag::empty())).expect("to be inherited");
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        served.as_raw_fd()
    );
    let mounted = host
        .enter("mount")
        .args(["-i", "-t", "fuse", "-o", &options, "hangs"])
        .arg(host.path(name))
        .status();
    fcntl(&served, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("ours alone");
    assert!(mounted.expect("mount").success());
    served
}

fn n_copying(host: &Host) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", host.agent_pid())).expect("threads");
    let names = tasks
        .flatten()
        .map(|task| fs::read_to_string(task.path().join("comm")));
    names
        .flatten()
        .filter(|name| name == "berthd-files\n")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_wait_for_a_file_system_hold_up_nothing_but_copies() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    fs::create_dir_all(host.path("shared/hangs")).expect("folders");
    fs::write(host.path("shared/there"), "text").expect("file");
    let config = with_host(HostConfig {
        binds: vec![format!("{}:/in", host.path("shared").display())],
        ..Default::default()
    });
    let id = client.create("box", config).await.expect("create");
    let served = hang(&host, "shared/hangs");
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..PLACES + 6 {
        let (files, id) = (Files::of(&client), id.clone());
        waiting.spawn(async move { files.get(&id, "/in/hangs/x").await });
    }
    until("all places are taken", async || n_copying(&host) == PLACES).await;
    let start = client.run_detached("other", sleeper());
    let other = tokio::time::timeout(PATIENCE, start).await;
    let other = other.expect("a start waits for a file system");
    client.remove(&other, true, false).await.expect("remove");
    // Those who leave take no more threads than there are places.
    waiting.abort_all();
    let again = tokio::spawn({
        let (files, id) = (Files::of(&client), id.clone());
        async move { files.get(&id, "/in/there").await }
    });
    client.run_detached("another", sleeper()).await;
    assert_eq!(n_copying(&host), PLACES);
    drop(served);
    let (_, bytes) = again
        .await
        .expect("task")
        .expect("a place that is free again");
    assert!(super::members(&bytes)["there"].ends_with("text"));
}
