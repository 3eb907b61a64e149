//! What even root must not do inside, because there is no inside for it: the clock, the kernel's
//! modules and the power switch are the host's.

use berth_provisioners_api::DriverError;
use rustix::thread::{
    CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities,
};

use crate::failure::Doing as _;

const OF_THE_HOST: [CapabilitySet; 3] = [
    CapabilitySet::SYS_TIME,
    CapabilitySet::SYS_MODULE,
    CapabilitySet::SYS_BOOT,
];

/// Gives them up for this process and all that it starts.
pub(super) fn drop_those_of_the_host() -> Result<(), DriverError> {
    drop_all().doing(|| "cannot give up capabilities".to_owned())
}

fn drop_all() -> rustix::io::Result<()> {
    let mut sets = capabilities(None)?;
    for capability in OF_THE_HOST {
        remove_capability_from_bounding_set(capability)?;
        sets.effective.remove(capability);
        sets.permitted.remove(capability);
        sets.inheritable.remove(capability);
    }
    set_capabilities(None, sets)
}
