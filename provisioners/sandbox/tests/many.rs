//! Many machines at once, and how long the first command takes.

mod support;

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, ensure};
use berth_provisioners_conformance::Subject;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_dozen_machines_are_made_and_removed_at_once() -> Result<()> {
    let bench = support::bench(&[])?;
    let mut creating = JoinSet::new();
    for number in 0..12 {
        let mut subject = bench.subject(&format!("m{number}"))?;
        creating.spawn(async move {
            subject.create().await?;
            let name = subject.remote().await?.run("hostname").await?;
            ensure!(
                name.trim() == format!("m{number}"),
                "{name} answers for m{number}"
            );
            anyhow::Ok(subject)
        });
    }
    let subjects = creating
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<Subject>>>()?;
    let mut addresses = BTreeSet::new();
    for subject in &subjects {
        addresses.insert(subject.machine.ip().await?);
    }
    ensure!(
        addresses.len() == subjects.len(),
        "machines share addresses: {addresses:?}"
    );
    let mut removing = JoinSet::new();
    for mut subject in subjects {
        removing.spawn(async move {
            let identity = support::identity(&subject)?;
            subject.remove().await?;
            let gone = std::path::Path::new("/sys/class/net").join(format!("bsv{identity}"));
            ensure!(!gone.exists(), "{} is left", gone.display());
            anyhow::Ok(())
        });
    }
    removing.join_all().await.into_iter().collect()
}

#[tokio::test]
async fn the_first_command_runs_soon_after_create_begins() -> Result<()> {
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("quick")?;
    let begin = Instant::now();
    subject.create().await?;
    let created = begin.elapsed();
    subject.remote().await?.run("true").await?;
    let reached = begin.elapsed();
    println!("create {created:?}, first command after {reached:?}");
    // A busy host may take its time; this finds what waits for something that never comes.
    ensure!(reached.as_secs() < 20, "it took {reached:?}");
    subject.remove().await?;
    Ok(())
}
