//! Being asked to end while machines are being made.

use berth_controller_fleet::Fleet;
use nix::sys::signal::Signal;

use crate::failure::Failure;
pub(super) use crate::interrupt::unless_interrupted;

/// Says what is left of machines whose making was interrupted, and how to go on.
pub(super) fn left_behind(fleet: &Fleet, machines: &[String], ending: Signal) -> Failure {
    let mut text = format!("interrupted by {}", ending.as_str());
    let mut left = Vec::new();
    for name in machines {
        match fleet.unfinished(name) {
            Ok(Some(unfinished)) => {
                text.push_str(&format!(
                    "; machine {name:?} is half made ({})",
                    unfinished.summary()
                ));
                left.push(name.as_str());
            }
            Ok(None) => {}
            Err(error) => text.push_str(&format!("; {error}")),
        }
    }
    let exit = u8::try_from(128 + ending as i32).unwrap_or(1);
    if left.is_empty() {
        text.push_str("; no machine is left half made");
        return Failure::new(text).exit(exit);
    }
    let names = left.join(" ");
    Failure::new(text)
        .hint(format!("berth machine resume {names} goes on from here"))
        .hint(format!("berth machine rm {names} takes it all back"))
        .exit(exit)
}
