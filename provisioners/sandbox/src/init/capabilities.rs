//! What even root must not do inside, because there is no inside for it: the clock, the kernel's
//! modules and the power switch are the host's.

use berth_provisioners_api::DriverError;
use rustix::thread::{
    CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities,
};

use crate::failure::Doing as _;
use crate::init::Guest;

const OF_THE_HOST: [CapabilitySet; 2] = [CapabilitySet::SYS_TIME, CapabilitySet::SYS_MODULE];

/// Gives them up for this process and all that it starts.
///
/// An init that is not ours keeps the power switch: in a namespace of processes it ends just these,
/// and the kernel tells the monitor which way it was turned.
pub(super) fn drop_those_of_the_host(guest: Guest) -> Result<(), DriverError> {
    let power = (guest == Guest::Known).then_some(CapabilitySet::SYS_BOOT);
    drop_all(OF_THE_HOST.into_iter().chain(power))
        .doing(|| "cannot give up capabilities".to_owned())
}

fn drop_all(unwanted: impl Iterator<Item = CapabilitySet>) -> rustix::io::Result<()> {
    let mut sets = capabilities(None)?;
    for capability in unwanted {
        remove_capability_from_bounding_set(capability)?;
        sets.effective.remove(capability);
        sets.permitted.remove(capability);
        sets.inheritable.remove(capability);
    }
    set_capabilities(None, sets)
}
