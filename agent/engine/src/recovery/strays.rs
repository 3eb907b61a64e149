//! What a killed agent left without a record: build steps whose build died with it, above all, and half-made
//! containers.
//!
//! What runs is ended before its files go. A supervisor that does not answer may still run something, which keeps its
//! files and its address until it can be ended.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_runtime::{ControlError, Reattached};

use crate::Engine;
use crate::life::mounts;
use crate::life::signal::SignalNumber;
use crate::recovery::adopt::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::step::STEP_PREFIX;

/// How long the agent's start waits for a stray to end; longer is waited in the background.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Ends what runs without a record. Returns the keys of those that may run on.
    pub(crate) async fn end_strays(&self, known: &HashSet<&str>) -> HashSet<String> {
        let folders = [
            self.paths.container_runs(),
            self.paths.containers(),
            self.paths.steps(),
        ];
        let mut keys: BTreeSet<String> = folders.iter().flat_map(|f| names_in(f)).collect();
        keys.retain(|key| !known.contains(key.as_str()));
        let ends = keys.into_iter().map(|key| async move {
            let ended = tokio::time::timeout(ENDS_WITHIN, self.end_stray(&key)).await;
            (!ended.unwrap_or(false)).then_some(key)
        });
        let unended = futures::future::join_all(ends).await;
        unended.into_iter().flatten().collect()
    }

    /// Goes on trying to end strays, and removes what is left of each when it has ended.
    pub(crate) fn end_later(self: &Arc<Self>, strays: HashSet<String>) {
        for key in strays {
            let engine = Arc::clone(self);
            tokio::spawn(async move {
                let mut pause = FIRST_PAUSE;
                tokio::time::sleep(pause).await;
                while !engine.end_stray(&key).await {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tokio::time::sleep(pause).await;
                }
                if let Err(error) = engine.network.detach(&key).await {
                    tracing::warn!(key, error = %error, "network not detached");
                }
                let work = tokio::task::spawn_blocking(move || engine.remove_stray(&key));
                crate::task::outcome(work).await;
            });
        }
    }

    /// Ends a stray; returns whether it is known to have ended.
    async fn end_stray(&self, key: &str) -> bool {
        let root = if key.starts_with(STEP_PREFIX) {
            self.paths.steps()
        } else {
            self.paths.containers()
        };
        let running = match self.ask(key, &root.join(key)).await {
            Some(Reattached::Running(running)) => running,
            Some(Reattached::Exited(_) | Reattached::Lost) => return true,
            None => return false,
        };
        match running.signal(SignalNumber::KILL.number()).await {
            Ok(()) | Err(ControlError::NotRunning { .. }) => {
                running.wait().await;
                true
            }
            Err(error) => {
                tracing::error!(key, error = %error, "leftover does not end");
                false
            }
        }
    }

    /// Removes folders and filesystems that belong to nobody.
    pub(crate) fn remove_strays(&self, is_kept: impl Fn(&str) -> bool) {
        for folder in [
            self.paths.containers(),
            self.paths.steps(),
            self.paths.container_runs(),
        ] {
            for name in names_in(&folder).filter(|name| !is_kept(name)) {
                mounts::remove_folder(&folder.join(name));
            }
        }
        match self.snapshots.list_keys() {
            Ok(keys) => {
                for key in keys.iter().filter(|key| !is_kept(key)) {
                    self.remove_filesystem(key);
                }
            }
            Err(error) => tracing::warn!(error = %error, "filesystems not listed"),
        }
    }

    /// Removes everything of a stray that has ended.
    fn remove_stray(&self, key: &str) {
        for folder in [
            self.paths.containers(),
            self.paths.steps(),
            self.paths.container_runs(),
        ] {
            mounts::remove_folder(&folder.join(key));
        }
        self.remove_filesystem(key);
    }

    fn remove_filesystem(&self, key: &str) {
        if let Err(error) = self.snapshots.remove(key) {
            tracing::warn!(key, error = %error, "filesystem not removed");
        }
    }
}

pub(super) fn names_in(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
}
