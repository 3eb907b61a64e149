//! What is left of a machine whose store was deleted by hand is found by its tags, and removed.

mod support;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use berth_provisioners_api::{Driver as _, FlagValues, Machine, MachineContext, MachineState};
use berth_provisioners_conformance::RecordingJournal;
use berth_provisioners_sandbox::SandboxDriver;

fn driver() -> SandboxDriver {
    SandboxDriver::with_executable(env!("CARGO_BIN_EXE_berth-sandbox-helper"))
}

/// A machine that is removed when the test ends before its time.
struct Guard(Box<dyn Machine>);

impl Drop for Guard {
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                // The test has its verdict.
                let _result = runtime.map(|runtime| runtime.block_on(self.0.remove()));
            });
        });
    }
}

async fn machine(store: &Path, name: &str) -> Result<(Guard, PathBuf, String)> {
    let context = context(store, name);
    std::fs::create_dir_all(&context.directory)?;
    let flags = FlagValues::defaults(&driver().flags()?);
    let mut guard = Guard(driver().configure(&context, &flags)?);
    guard.0.create(&RecordingJournal::default()).await?;
    let identity = guard.0.config()["Id"].as_str().context("no id")?.to_owned();
    Ok((guard, context.directory, identity))
}

fn context(store: &Path, name: &str) -> MachineContext {
    MachineContext {
        name: name.to_owned(),
        directory: store.join("machines").join(name),
        store_root: store.to_owned(),
    }
}

#[tokio::test]
async fn a_machine_whose_directory_was_deleted_is_found_and_removed() -> Result<()> {
    for lost_register in [false, true] {
        let store = tempfile::tempdir()?;
        let other_store = tempfile::tempdir()?;
        let (_lost, directory, identity) = machine(store.path(), "lost").await?;
        let (kept, _directory, _identity) = machine(store.path(), "kept").await?;
        let (stranger, _directory, _identity) = machine(other_store.path(), "lost").await?;
        std::fs::remove_dir_all(&directory)?;
        if lost_register {
            let entry = Path::new("/var/lib/berth-sandbox").join(format!("{identity}.machine"));
            std::fs::remove_file(entry)?;
        }
        let known = |name: &str| name == "kept";
        let orphans = driver().orphans(store.path(), &known).await?;
        let names: Vec<&str> = orphans.iter().map(|o| o.machine.as_str()).collect();
        ensure!(names == ["lost"], "{orphans:?}");
        let resources = orphans[0].resources.join(", ");
        for kind in ["processes", "control groups", "interface bsv"] {
            ensure!(resources.contains(kind), "{kind} is not among {resources}");
        }
        ensure!(
            resources.contains("address") != lost_register,
            "{resources}"
        );

        let config = orphans[0].config.clone();
        let mut rest = driver().load(&context(store.path(), "lost"), config)?;
        rest.remove().await?;
        support::expect_no_trace(&identity, &directory)?;
        ensure!(driver().orphans(store.path(), &known).await?.is_empty());
        for other in [&kept, &stranger] {
            ensure!(other.0.state().await? == MachineState::Running);
        }
    }
    Ok(())
}
