//! A machine reaches what this host reaches, from this host's address.

mod support;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};

/// A network outside, in a namespace that ends with this.
struct Outside;

const OUTSIDE: &str = "bs-outside";

fn run(line: &str) -> Result<()> {
    let words: Vec<&str> = line.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {said}");
    Ok(())
}

impl Outside {
    fn make() -> Result<Self> {
        run(&format!("ip netns add {OUTSIDE}"))?;
        let outside = Self;
        // Addresses that are set aside for tests; the other end knows no way back to machines.
        run(&format!(
            "ip link add bs-out0 type veth peer name eth0 netns {OUTSIDE}"
        ))?;
        run("ip addr add 198.18.77.1/30 dev bs-out0")?;
        run("ip link set bs-out0 up")?;
        run(&format!("ip -n {OUTSIDE} addr add 198.18.77.2/30 dev eth0"))?;
        run(&format!("ip -n {OUTSIDE} link set eth0 up"))?;
        Ok(outside)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // Best effort, as the test has ended one way or the other.
        let _result = run("ip link del bs-out0");
        let _result = run(&format!("ip netns del {OUTSIDE}"));
    }
}

#[tokio::test]
async fn a_machine_reaches_a_network_outside_of_this_host() -> Result<()> {
    let _outside = Outside::make()?;
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("traveller")?;
    subject.create().await?;
    let remote = subject.remote().await?;
    remote
        .run("ip route get 198.18.77.2 | grep -q 'via 10.98.0.1'")
        .await?;
    // Nobody listens, which the other end can only say if it knows the sender.
    let refused = remote
        .run("bash -c 'exec 3<>/dev/tcp/198.18.77.2/9' 2>&1; true")
        .await?;
    ensure!(refused.contains("refused"), "{refused}");
    subject.remove().await?;
    Ok(())
}

#[tokio::test]
async fn a_machine_can_have_another_root_filesystem() -> Result<()> {
    let place = tempfile::tempdir()?;
    // A name with characters that mean something to the mount call.
    let root = place.path().join("a,b:c");
    std::fs::create_dir(&root)?;
    let root = root.to_string_lossy().into_owned();
    // Seen without its own mounts, this host's root is as good as any other tree.
    run(&format!("mount --bind / {root}"))?;
    let result = other_root(&root).await;
    run(&format!("umount {root}"))?;
    result
}

async fn other_root(root: &str) -> Result<()> {
    let bench = support::bench(&[("sandbox-rootfs", root)])?;
    let mut subject = bench.subject("other")?;
    subject.machine.pre_create_check().await?;
    subject.create().await?;
    subject
        .remote()
        .await?
        .run("test $(hostname) = other")
        .await?;
    subject.machine.restart().await?;
    subject
        .remote()
        .await?
        .run("test $(hostname) = other")
        .await?;
    subject.remove().await?;
    Ok(())
}

#[tokio::test]
async fn an_init_that_is_no_program_is_refused_before_anything_is_made() -> Result<()> {
    for (init, reason) in [
        ("/no/such/init", "cannot find /no/such/init"),
        ("/etc/passwd", "/etc/passwd is not a program"),
    ] {
        let bench = support::bench(&[("sandbox-init", init)])?;
        let subject = bench.subject("refused")?;
        let Err(error) = subject.machine.pre_create_check().await else {
            bail!("{init} was taken");
        };
        ensure!(error.to_string().starts_with(reason), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_machine_whose_init_ends_at_once_leaves_nothing() -> Result<()> {
    let bench = support::bench(&[("sandbox-init", "/bin/true")])?;
    let mut subject = bench.subject("fleeting")?;
    subject.machine.pre_create_check().await?;
    let Err(error) = subject.create().await else {
        bail!("the machine came up");
    };
    let error = format!("{:#}", anyhow::Error::from(error));
    ensure!(error.contains("the init ended"), "{error}");
    let directory = PathBuf::from(
        subject.machine.config()["StorePath"]
            .as_str()
            .unwrap_or("/"),
    );
    let identity = support::identity(&subject)?;
    subject.remove().await?;
    support::expect_no_trace(&identity, &directory)
}
