//! The identity of a machine on this host, from which the names of all that it owns follow.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A machine's identity: ten hexadecimal digits.
///
/// It is derived from the machine's directory, so that what a killed `create` left behind is found
/// again even when no configuration was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Identity(String);

impl Identity {
    /// How the names of cables begin.
    pub(crate) const CABLE_PREFIX: &str = "bsv";

    /// Returns the identity of the machine that lives in `directory`.
    pub(crate) fn of_directory(directory: &Path) -> Self {
        let hash = fnv1a(directory.as_os_str().as_bytes());
        // An interface name has room for fifteen characters.
        Self(format!("{:010x}", (hash ^ (hash >> 40)) & 0xff_ffff_ffff))
    }

    /// Returns the digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the host's end of the machine's network cable.
    pub(crate) fn cable(&self) -> String {
        format!("{}{}", Self::CABLE_PREFIX, self.0)
    }

    /// Returns the identity whose digits these are, if they are some.
    pub(crate) fn of_digits(digits: &str) -> Option<Self> {
        Some(Self(digits.to_owned())).filter(Self::is_well_formed)
    }

    /// Returns the identity of the machine that has this cable, if it is one.
    pub(crate) fn of_cable(cable: &str) -> Option<Self> {
        Self::of_digits(cable.strip_prefix(Self::CABLE_PREFIX)?)
    }

    /// Tells whether this came out of [`Identity::of_directory`], and not from a forged file.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.0.len() == 10 && self.0.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// A hash that stays the same in every version of every program.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_directory_always_has_the_same_identity() {
        let identity = Identity::of_directory(Path::new("/store/machines/demo"));
        assert_eq!(
            identity,
            Identity::of_directory(Path::new("/store/machines/demo"))
        );
        assert_ne!(
            identity,
            Identity::of_directory(Path::new("/store/machines/demo2"))
        );
        assert!(identity.is_well_formed());
    }

    #[test]
    fn an_interface_can_carry_the_name_of_the_cable() {
        let identity = Identity::of_directory(Path::new("/"));
        assert!(identity.cable().len() <= 15);
        assert_eq!(Identity::of_cable(&identity.cable()), Some(identity));
        assert_eq!(Identity::of_cable("bsvother"), None);
    }
}
