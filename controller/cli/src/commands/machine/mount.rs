//! `berth machine mount`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use berth_controller_fleet::{FilePlace, MachineError, MountError, SshError};

use super::names;
use super::trouble::Trouble;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};

/// Mount a machine's directory on this computer (needs sshfs)
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  berth machine mount demo:/srv ./srv\n  \
                        berth machine mount -u demo:/srv ./srv")]
pub(crate) struct Args {
    /// Take the mount away
    #[arg(short, long)]
    unmount: bool,
    /// Directory of the machine (of the one called "default" if none is named)
    #[arg(value_name = "[MACHINE:]PATH")]
    place: OsString,
    /// Directory here; the same path as on the machine if none is given
    #[arg(value_name = "MOUNTPOINT")]
    point: Option<PathBuf>,
}

/// Mounts or unmounts; the outcome is the exit code of the program that does it.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let place = FilePlace::parse(&args.place);
    let path = OsString::from_vec(place.path);
    let same = Path::new(&path);
    let point = match &args.point {
        Some(point) => point.as_path(),
        None if args.unmount || same.is_absolute() => same,
        None => {
            return Err(
                Failure::new("a mount point is needed for a path that is not absolute").exit(64),
            );
        }
    };
    if args.unmount {
        return fleet.unmount(point).await.map_err(|error| error.failure());
    }
    let name = names::one(&fleet, global, place.machine)?;
    let path: &OsStr = path.as_os_str();
    let mounted = fleet.mount(&name, place.user.as_deref(), path, point);
    mounted.await.map_err(|error| error.failure())
}

impl Trouble for MountError {
    fn next_step(&self) -> Option<String> {
        self.hint()
    }

    fn of_machine(&self) -> Option<&MachineError> {
        match self {
            Self::Ssh(SshError::Machine(error)) => Some(error),
            _ => None,
        }
    }
}
