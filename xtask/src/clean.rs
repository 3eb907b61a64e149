//! `cargo xtask clean`: removes machines, processes and files that a chore left on this host.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process::{programs, run as run_command, say, target_directory};

/// Removes the machines of every store under the target folder, then the stores and fixtures.
///
/// # Errors
/// When a machine cannot be removed; the others are removed all the same.
pub(crate) fn run() -> Result<()> {
    let mut outcome = Ok(());
    // The last is where tests keep the stores of their operators; only killed ones leave any.
    let operators = programs("debug").join("operators");
    let homes = ["demo", "bench"].map(|chore| target_directory().join(chore));
    let left = std::fs::read_dir(&operators)
        .into_iter()
        .flatten()
        .flatten();
    for home in homes.into_iter().chain(left.map(|entry| entry.path())) {
        if let Err(error) = remove_machines(&home.join("store")) {
            outcome = Err(error);
        }
    }
    if outcome.is_ok() {
        for folder in ["demo", "bench", "fixtures"] {
            remove_folder(&target_directory().join(folder))?;
        }
        remove_folder(&operators)?;
        say("Nothing of berth is left on this host but the built programs in target/.");
    }
    outcome
}

/// Removes all machines of a store, if there is one.
///
/// # Errors
/// When there are machines and `berth machine rm` fails.
pub(crate) fn remove_machines(store: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(store.join("machines")) else {
        return Ok(());
    };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let berth = [programs("release"), programs("debug")]
        .map(|folder| folder.join("berth"))
        .into_iter()
        .find(|program| program.exists());
    let Some(berth) = berth else {
        anyhow::bail!(
            "machines are left in {} but berth is not built",
            store.display()
        );
    };
    // Not by force: what cannot be removed is needed for finding it again.
    run_command(
        Command::new(berth)
            .args(["machine", "rm", "-y"])
            .args(&names)
            .env("MACHINE_STORAGE_PATH", store),
    )
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
