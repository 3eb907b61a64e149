//! What happens when something dies at a bad moment: nothing stays that `remove` cannot remove.

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use berth_provisioners_api::{Driver as _, FlagValues, MachineContext, MachineState};
use berth_provisioners_conformance::RecordingJournal;
use berth_provisioners_sandbox::SandboxDriver;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const STORE: &str = "BERTH_TEST_SANDBOX_STORE";

fn driver() -> SandboxDriver {
    SandboxDriver::with_executable(env!("CARGO_BIN_EXE_berth-sandbox-helper"))
}

fn context(store: PathBuf) -> MachineContext {
    MachineContext {
        name: "killed".to_owned(),
        directory: store.join("machines/killed"),
        store_root: store,
    }
}

/// Not a test of its own: the process that is killed in the next test.
#[tokio::test]
async fn a_process_that_creates() -> Result<()> {
    let Some(store) = std::env::var_os(STORE) else {
        return Ok(());
    };
    let driver = driver();
    let mut machine = driver.configure(
        &context(store.into()),
        &FlagValues::defaults(&driver.flags().expect("flags")),
    )?;
    machine.create(&RecordingJournal::default()).await?;
    Ok(())
}

#[tokio::test]
async fn a_killed_create_is_removed_at_whatever_moment_it_died() -> Result<()> {
    let flags = FlagValues::defaults(&driver().flags().expect("flags"));
    // From the first file to a machine that is up.
    for delay_ms in [0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 250] {
        let store = tempfile::tempdir()?;
        let context = context(store.path().to_owned());
        std::fs::create_dir_all(&context.directory)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "a_process_that_creates"])
            .env(STORE, store.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let moment = Instant::now() + Duration::from_millis(delay_ms);
        while Instant::now() < moment && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill()?;
        child.wait()?;
        let mut machine = driver().configure(&context, &flags)?;
        let identity = machine.config()["Id"].as_str().context("no id")?.to_owned();
        machine
            .remove()
            .await
            .with_context(|| format!("killed after {delay_ms} ms"))?;
        ensure!(machine.state().await? == MachineState::NotFound);
        support::expect_no_trace(&identity, &context.directory)
            .with_context(|| format!("killed after {delay_ms} ms"))?;
        let left: Vec<_> = std::fs::read_dir(&context.directory)?.flatten().collect();
        ensure!(left.is_empty(), "killed after {delay_ms} ms: {left:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_machine_whose_monitor_or_init_is_killed_is_off_and_starts_again() -> Result<()> {
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("shot")?;
    subject.create().await?;
    subject.remote().await?.run("echo kept >/root/kept").await?;
    let identity = support::identity(&subject)?;
    for part in ["monitor", "machine/init.scope", "machine"] {
        let pid = ["unified", "pids", ""].iter().find_map(|hierarchy| {
            let path = PathBuf::from("/sys/fs/cgroup")
                .join(hierarchy)
                .join("berth-sandbox")
                .join(&identity)
                .join(part)
                .join("cgroup.procs");
            let text = std::fs::read_to_string(path).ok()?;
            text.lines().next()?.parse().ok()
        });
        // Only one of the last two has processes, depending on the host.
        let Some(pid) = pid else { continue };
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        support::until_state(&subject, MachineState::Stopped).await?;
        subject.machine.start().await?;
        let kept = subject.remote().await?.run("cat /root/kept").await?;
        ensure!(kept.trim() == "kept");
    }
    let directory = subject
        .machine
        .ssh_endpoint()
        .await?
        .key
        .context("no key")?;
    let directory = directory.parent().context("no directory")?.to_owned();
    subject.remove().await?;
    support::expect_no_trace(&identity, &directory)
}

#[tokio::test]
async fn a_store_that_was_deleted_gives_its_address_back() -> Result<()> {
    let driver = Arc::new(driver());
    let flags = FlagValues::defaults(&driver.flags().expect("flags"));
    let store = tempfile::tempdir()?;
    let lost = context(store.path().to_owned());
    std::fs::create_dir_all(&lost.directory)?;
    let mut machine = driver.configure(&lost, &flags)?;
    machine.create(&RecordingJournal::default()).await?;
    let identity = machine.config()["Id"].as_str().context("no id")?.to_owned();
    machine.kill().await?;
    drop(store);
    let bench = support::bench(&[])?;
    let mut next = bench.subject("next")?;
    next.create().await?;
    support::expect_no_trace(&identity, &lost.directory)?;
    next.remove().await?;
    Ok(())
}

#[tokio::test]
async fn a_machine_holds_nothing_of_the_process_that_made_it() -> Result<()> {
    let store = tempfile::tempdir()?;
    let context = context(store.path().to_owned());
    std::fs::create_dir_all(&context.directory)?;
    let lock = store.path().join("lock-of-a-script");
    // The script's lock has two digits, as the shell gives them out by itself.
    let status = Command::new("bash")
        .arg("-c")
        .arg("exec {fd}>\"$1\" 7>\"$1.7\"; flock $fd; \"$2\" --exact a_process_that_creates >/dev/null")
        .arg("bash")
        .arg(&lock)
        .arg(std::env::current_exe()?)
        .env(STORE, store.path())
        .status()?;
    ensure!(status.success());
    let flags = FlagValues::defaults(&driver().flags().expect("flags"));
    let mut machine = driver().configure(&context, &flags)?;
    let state = machine.state().await?;
    let free = Command::new("flock")
        .arg("-n")
        .arg(&lock)
        .arg("true")
        .status()?;
    machine.remove().await?;
    ensure!(state == MachineState::Running, "the machine is {state}");
    ensure!(free.success(), "the machine holds the script's lock");
    Ok(())
}

#[tokio::test]
async fn a_machine_starts_after_the_host_has_forgotten_all_of_it() -> Result<()> {
    let subnet = [("sandbox-subnet", "10.199.8.0/24")];
    let bench = support::bench(&subnet)?;
    let mut subject = bench.subject("rebooted")?;
    subject.create().await?;
    subject
        .remote()
        .await?
        .run("echo kept >/root/kept; sync")
        .await?;
    subject.machine.kill().await?;
    // What a restart of the host takes away.
    for command in [
        "ip link del bsb0ac70800",
        "nft delete table ip berth_sandbox_0ac70800",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        ensure!(Command::new(words[0]).args(&words[1..]).status()?.success());
    }
    subject.machine.start().await?;
    let kept = subject.remote().await?.run("cat /root/kept").await?;
    ensure!(kept.trim() == "kept");
    let identity = support::identity(&subject)?;
    let directory = subject
        .machine
        .ssh_endpoint()
        .await?
        .key
        .context("no key")?;
    subject.remove().await?;
    ensure!(
        !std::path::Path::new("/sys/class/net/bsb0ac70800").exists(),
        "the bridge is left"
    );
    let tables = Command::new("nft")
        .args(["list", "tables"])
        .output()?
        .stdout;
    let tables = String::from_utf8(tables)?;
    ensure!(!tables.contains("berth_sandbox_0ac70800"), "{tables}");
    support::expect_no_trace(&identity, directory.parent().context("no directory")?)
}

#[tokio::test]
async fn a_machine_with_frozen_processes_stops_and_is_killed() -> Result<()> {
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("frozen")?;
    for kill in [false, true] {
        subject.create().await?;
        subject
            .remote()
            .await?
            .run(
                "f=/sys/fs/cgroup/freezer; s=freezer.state; v=FROZEN; \
                 test -d $f || { f=/sys/fs/cgroup; s=cgroup.freeze; v=1; }; mkdir $f/paused; \
                 setsid sh -c \"echo \\$\\$ >$f/paused/cgroup.procs; exec sleep 1000\" \
                   >/dev/null 2>&1 </dev/null & \
                 until grep -q . $f/paused/cgroup.procs; do :; done; echo $v >$f/paused/$s",
            )
            .await?;
        if kill {
            subject.machine.kill().await?;
        } else {
            subject.machine.stop().await?;
        }
        ensure!(subject.machine.state().await? == MachineState::Stopped);
    }
    subject.remove().await?;
    Ok(())
}
