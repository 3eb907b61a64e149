//! The checks.

use anyhow::{Context as _, Result, ensure};
use berth_provisioners_api::{MachineState, Restart};
use futures::future::try_join;

use crate::{Bench, Subject};

async fn expect_state(subject: &Subject, expected: MachineState) -> Result<()> {
    let state = subject.machine.state().await?;
    ensure!(state == expected, "the machine is {state}, not {expected}");
    Ok(())
}

/// A machine is created, stopped, started, restarted, killed and removed, and keeps its data and
/// its host key until it is gone.
///
/// # Errors
///
/// When the driver does not conform.
pub async fn life_cycle(bench: &Bench) -> Result<()> {
    let mut subject = bench.subject("life")?;
    expect_state(&subject, MachineState::NotFound).await?;
    subject.machine.pre_create_check().await?;
    subject.create().await?;
    ensure!(!subject.journal.steps().is_empty(), "nothing was recorded");
    expect_state(&subject, MachineState::Running).await?;
    let host_key = subject.machine.ssh_endpoint().await?.host_key;
    let remote = subject.remote().await?;
    remote.run("echo kept > /root/kept && sync").await?;
    let name = remote.run("hostname").await?;
    ensure!(name.trim() == "life", "the machine calls itself {name:?}");

    subject.reload()?;
    subject.machine.stop().await.context("stop")?;
    expect_state(&subject, MachineState::Stopped).await?;
    subject.machine.start().await.context("start")?;
    expect_kept(&subject, "after start").await?;

    ensure!(
        subject.machine.restart().await.context("restart")? == Restart::Done,
        "the driver can start and stop, but not restart"
    );
    expect_kept(&subject, "after restart").await?;

    subject.machine.kill().await.context("kill")?;
    expect_state(&subject, MachineState::Stopped).await?;
    subject.machine.start().await.context("start after kill")?;
    expect_kept(&subject, "after kill").await?;
    let later_key = subject.machine.ssh_endpoint().await?.host_key;
    ensure!(later_key == host_key, "the host key has changed");

    subject.remove().await?;
    expect_state(&subject, MachineState::NotFound).await?;
    subject.remove().await.context("second removal")
}

async fn expect_kept(subject: &Subject, when: &str) -> Result<()> {
    expect_state(subject, MachineState::Running).await?;
    let remote = subject.remote().await?;
    let text = remote
        .run("cat /root/kept")
        .await
        .context(when.to_owned())?;
    ensure!(text.trim() == "kept", "{when} the file holds {text:?}");
    Ok(())
}

/// Calls for something that is so already change nothing and succeed.
///
/// # Errors
///
/// When the driver does not conform.
pub async fn repeated_calls_are_harmless(bench: &Bench) -> Result<()> {
    let mut subject = bench.subject("again")?;
    subject
        .remove()
        .await
        .context("removal of what never was")?;
    subject.create().await?;
    let endpoint = subject.machine.ssh_endpoint().await?;
    let started = boot_time(&subject).await?;
    subject
        .create()
        .await
        .context("create of a complete machine")?;
    subject
        .machine
        .start()
        .await
        .context("start of a running machine")?;
    ensure!(
        subject.machine.ssh_endpoint().await? == endpoint,
        "the endpoint has changed"
    );
    ensure!(
        boot_time(&subject).await? == started,
        "the machine was restarted"
    );
    for call in ["first", "second"] {
        subject
            .machine
            .stop()
            .await
            .with_context(|| format!("{call} stop"))?;
        expect_state(&subject, MachineState::Stopped).await?;
    }
    subject
        .machine
        .kill()
        .await
        .context("kill of a machine that is off")?;
    subject.remove().await?;
    subject.remove().await.context("second removal")
}

/// Returns when process 1 was started, in the kernel's words.
async fn boot_time(subject: &Subject) -> Result<String> {
    let remote = subject.remote().await?;
    remote.run("cut -d' ' -f22 /proc/1/stat").await
}

/// Two machines are made at once, have addresses of their own, and reach each other.
///
/// # Errors
///
/// When the driver does not conform.
pub async fn two_at_once(bench: &Bench) -> Result<()> {
    let (mut left, mut right) = (bench.subject("left")?, bench.subject("right")?);
    try_join(left.create(), right.create()).await?;
    let (left_end, right_end) =
        try_join(left.machine.ssh_endpoint(), right.machine.ssh_endpoint()).await?;
    ensure!(
        (&left_end.host, left_end.port) != (&right_end.host, right_end.port),
        "both machines are at {}",
        left_end.host
    );
    ensure!(
        left_end.host_key != right_end.host_key,
        "both have the same host key"
    );
    let (left_remote, right_remote) = (left.remote().await?, right.remote().await?);
    left_remote.run("touch /root/left").await?;
    right_remote.run("test ! -e /root/left").await?;
    try_join(left.remove(), right.remove()).await?;
    expect_state(&left, MachineState::NotFound).await?;
    expect_state(&right, MachineState::NotFound).await
}

/// A create that was cut off at any of its steps leaves what `remove` removes, and what another
/// `create` completes.
///
/// # Errors
///
/// When the driver does not conform.
pub async fn cut_off_create_is_removed_or_resumed(bench: &Bench) -> Result<()> {
    let mut number = 0;
    loop {
        let mut subject = bench.subject(&format!("cut{number}"))?;
        subject.journal.fail_at(Some(number));
        if subject.create().await.is_ok() {
            ensure!(number > 0, "nothing was recorded");
            subject.remove().await?;
            return Ok(());
        }
        subject.recover()?;
        subject
            .remove()
            .await
            .with_context(|| format!("removal after step {number}"))?;
        expect_state(&subject, MachineState::NotFound).await?;

        let mut subject = bench.subject(&format!("resumed{number}"))?;
        subject.journal.fail_at(Some(number));
        ensure!(
            subject.create().await.is_err(),
            "step {number} was not recorded this time"
        );
        subject.recover()?;
        subject.journal.fail_at(None);
        subject
            .create()
            .await
            .with_context(|| format!("create after step {number}"))?;
        subject.remote().await?.run("true").await?;
        subject.remove().await?;
        number += 1;
    }
}
