//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// How long a condition may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until `find` finds something.
///
/// # Panics
///
/// When it finds nothing within a minute.
#[track_caller]
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// Asks again and again until `holds` holds.
///
/// # Panics
///
/// When it does not within a minute.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
