//! What the tests of the driver share.

#![allow(dead_code, reason = "each test binary uses its part of this module")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use berth_provisioners_api::{Driver as _, FlagValue, FlagValues, MachineState};
use berth_provisioners_conformance::{Bench, Subject};
use berth_provisioners_sandbox::SandboxDriver;

/// Returns a bench for sandbox machines with these flags beside the defaults.
pub(crate) fn bench(flags: &[(&str, &str)]) -> Result<Bench> {
    let driver = SandboxDriver::with_executable(env!("CARGO_BIN_EXE_berth-sandbox-helper"));
    let mut values = FlagValues::defaults(&driver.flags().expect("flags"));
    for (name, text) in flags {
        values.set(*name, FlagValue::Text((*text).to_owned()));
    }
    Bench::new(Arc::new(driver), values)
}

/// Waits until a machine is in a state that it goes to by itself.
pub(crate) async fn until_state(subject: &Subject, expected: MachineState) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let state = subject.machine.state().await?;
        if state == expected {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the machine stays {state}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns the machine's identity on this host.
pub(crate) fn identity(subject: &Subject) -> Result<String> {
    let config = subject.machine.config();
    let identity = config["Id"]
        .as_str()
        .context("the machine has no identity")?;
    Ok(identity.to_owned())
}

/// Fails if anything of a machine is left on this host.
pub(crate) fn expect_no_trace(identity: &str, directory: &Path) -> Result<()> {
    let cable = Path::new("/sys/class/net").join(format!("bsv{identity}"));
    ensure!(!cable.exists(), "{} is left", cable.display());
    let entry = Path::new("/var/lib/berth-sandbox").join(format!("{identity}.machine"));
    ensure!(!entry.exists(), "{} is left", entry.display());
    for hierarchy in fs::read_dir("/sys/fs/cgroup")? {
        let group = hierarchy?.path().join("berth-sandbox").join(identity);
        ensure!(!group.exists(), "{} is left", group.display());
    }
    let directory = directory.to_string_lossy();
    for process in fs::read_dir("/proc")?.flatten() {
        // Processes end while we look.
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let ours = command.starts_with("berth-sandbox") && command.contains(directory.as_ref());
        ensure!(!ours, "process {command:?} is left");
        let mounts = fs::read_to_string(process.path().join("mountinfo")).unwrap_or_default();
        ensure!(
            !mounts.contains(directory.as_ref()),
            "a mount is left in {command:?}"
        );
    }
    Ok(())
}
