//! What a host of the tests has, counted, and the processes that hold its containers.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use berth_tests_support::{Ground, Inventory};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Client;
use crate::host::{Host, PATIENCE};

/// Returns where the host's agent lives.
pub(crate) fn ground(host: &Host) -> Ground {
    Ground {
        data: host.path("data"),
        run: host.path("run"),
        holder: host.holder_pid(),
    }
}

/// Counts everything on the host; `seen` as [`Inventory::take`] has it.
pub(crate) fn inventory(host: &Host, seen: &BTreeSet<String>) -> Inventory {
    Inventory::take(&ground(host), seen)
}

/// Counts everything once nothing is being deleted in the background any more.
pub(crate) fn quiet_inventory(host: &Host, seen: &BTreeSet<String>) -> Inventory {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let inventory = inventory(host, seen);
        // The kernel ends interfaces a little after their containers.
        let has_ending = inventory.count("address lease") == 0
            && inventory.any("interface", |name| name.starts_with("bv"));
        let is_quiet = !has_ending
            && inventory.count("staged layer") == 0
            && inventory.count("container filesystem") == inventory.count("container folder")
            && !inventory.any("container folder", |name| name.ends_with(".removing"))
            // The tables go a moment after the last container.
            && (inventory.count("address lease") > 0 || inventory.count("rule") == 0);
        if is_quiet {
            return inventory;
        }
        assert!(Instant::now() < deadline, "never quiet: {inventory:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kills the supervisor of a running container; returns whether there was one.
pub(crate) async fn kill_supervisor(client: &Client, id: &str) -> bool {
    let Some(pid) = init_pid(client, id).await else {
        return false;
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let Some(parent) = parent.and_then(|text| text.trim().parse().ok()) else {
        return false;
    };
    let name = fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
    // It may have ended, and somebody else's child been given its number.
    String::from_utf8_lossy(&name).contains("supervise")
        && kill(Pid::from_raw(parent), Signal::SIGKILL).is_ok()
}

/// Returns the number of a container's first process, if it runs.
pub(crate) async fn init_pid(client: &Client, id: &str) -> Option<i64> {
    let object = client.inspect(id).await.ok()?;
    object["State"]["Pid"].as_i64().filter(|pid| *pid > 1)
}
