//! Bringing layers to the disk behind the caller's back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Inner;
use crate::StoreError;
use crate::records::LayerRecord;

/// Whether a thread is at it.
#[derive(Debug, Default)]
pub(super) struct Settling {
    progress: Mutex<Progress>,
    finished: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    is_running: bool,
    is_wanted_again: bool,
}

impl Inner {
    /// Returns the mark for a layer that may not be on the disk yet.
    pub(crate) fn unsettled_mark() -> String {
        // The number tells a layer from the same one removed and made again.
        format!("{}#{:016x}", boot_id(), rand::random::<u64>())
    }

    /// Tells whether the machine has stayed up since the mark was made.
    pub(super) fn is_of_this_boot(mark: &str) -> bool {
        let boot = boot_id();
        !boot.is_empty() && mark.split('#').next() == Some(boot.as_str())
    }

    /// Has everything written back by a thread of its own, without waiting for it.
    pub(crate) fn settle_soon(self: &Arc<Self>) {
        let mut progress = self.progress();
        if progress.is_running {
            progress.is_wanted_again = true;
            return;
        }
        let inner = Arc::clone(self);
        let thread = std::thread::Builder::new().name("settle".to_owned());
        match thread.spawn(move || inner.settle()) {
            Ok(_detached) => progress.is_running = true,
            // The marks stay, which is safe; the next pull tries again.
            Err(error) => tracing::warn!(%error, "layers cannot be written back now"),
        }
    }

    pub(super) fn wait_until_settled(&self) {
        let mut progress = self.progress();
        while progress.is_running {
            progress = self
                .settling
                .finished
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn settle(&self) {
        loop {
            if let Err(error) = self.settle_once() {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "layers cannot be written back"
                );
            }
            let mut progress = self.progress();
            if !std::mem::take(&mut progress.is_wanted_again) {
                progress.is_running = false;
                self.settling.finished.notify_all();
                return;
            }
        }
    }

    fn settle_once(&self) -> Result<(), StoreError> {
        let mut layers = self.state.read(|reader| reader.list::<LayerRecord>())?;
        layers.retain(|(_, record)| record.unsettled.is_some());
        if layers.is_empty() {
            return Ok(());
        }
        self.snapshotter.sync()?;
        let directory = self.content.directory();
        std::fs::File::open(directory)
            .and_then(|file| Ok(nix::unistd::syncfs(file)?))
            .map_err(StoreError::content("write back", directory))?;
        Ok(self.state.write(|writer| {
            for (id, before) in &layers {
                if let Some(mut record) = writer.get::<LayerRecord>(id)?
                    && record.unsettled == before.unsettled
                {
                    record.unsettled = None;
                    writer.put(id, &record)?;
                }
            }
            Ok::<(), berth_agent_state::StateError>(())
        })?)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.settling
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the kernel's name for the time since the machine was switched on, or nothing.
fn boot_id() -> String {
    // Without it every mark looks as if it came from another boot, which is the safe side.
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}
