//! `scp`: files to, from and between machines.

use std::ffi::OsStr;

use berth_controller_fleet::{FilePlace, FilesError};
use berth_controller_ssh::copy::{CopyError, CopyOptions, CopyProgress};

use super::ssh::exited;
use crate::app::{Order, Outcome};
use crate::words;
use crate::world::{Failure, World};

pub(super) const WRONG_NUMBER: &str = "Improper number of arguments";

/// Tells what could not be copied, as it happens.
struct Problems<'a>(&'a World);

impl CopyProgress for Problems<'_> {
    fn problem(&self, error: &CopyError) {
        self.0.error(&words::chain(error));
    }
}

/// Copies.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let [from, to] = order.args() else {
        return Err(order.wrong(WRONG_NUMBER));
    };
    let fleet = order.fleet()?;
    let place = |text: &str| FilePlace::parse(OsStr::new(text));
    let (from, to) = (place(from), place(to));
    for machine in [&from.machine, &to.machine].into_iter().flatten() {
        super::loaded(&fleet, machine)?;
    }
    let (recursive, quiet) = (
        order.options.switch("recursive"),
        order.options.switch("quiet"),
    );
    if order.options.switch("delta") {
        let copied = fleet.copy_differences(&from, &to, recursive, quiet).await;
        return exited(copied.map_err(|error| Failure::new(words::files(&error)))?);
    }
    let options = CopyOptions {
        recursive,
        preserve: false,
    };
    let progress = Problems(order.world());
    match fleet.copy(&from, &to, options, &progress).await {
        Ok(()) => Ok(()),
        // Each was told when it happened.
        Err(FilesError::Copy(CopyError::Some { .. })) => exited(1),
        Err(error) => Err(Failure::new(words::files(&error))),
    }
}
