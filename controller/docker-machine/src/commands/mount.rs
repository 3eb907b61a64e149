//! `mount`: a machine's directory on this computer, by `sshfs`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use berth_controller_fleet::FilePlace;

use super::scp::WRONG_NUMBER;
use super::ssh::exited;
use crate::app::{Order, Outcome};
use crate::world::Failure;
use crate::{machines, words};

/// Mounts or unmounts.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let (place, point) = match order.args() {
        [place] => (place, None),
        [place, point] => (place, Some(point)),
        _ => return Err(order.wrong(WRONG_NUMBER)),
    };
    let fleet = order.fleet()?;
    let place = FilePlace::parse(OsStr::new(place));
    let name = machines::target(&fleet, place.machine.as_slice())?;
    super::loaded(&fleet, &name)?;
    let path = OsString::from_vec(place.path);
    let point = point.map_or_else(|| Path::new(&path), Path::new);
    let unmount = order.options.switch("unmount");
    let ended = if unmount {
        fleet.unmount(point).await
    } else {
        fleet
            .mount(&name, place.user.as_deref(), &path, point)
            .await
    };
    exited(ended.map_err(|error| Failure::new(words::mount(&error, unmount)))?)
}
