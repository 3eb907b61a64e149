//! Names of Linux capabilities, Docker's default set and `--cap-add`/`--cap-drop`.

use std::collections::BTreeSet;

use oci_spec::runtime::{Capability, LinuxCapabilities};

/// A capability's name is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown capability {name}")]
pub struct UnknownCapability {
    /// The name, as given.
    pub name: String,
}

/// Capabilities that containers have unless told otherwise, as in Docker.
pub const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// Returns every capability that the running kernel has (what `--privileged` gives).
pub fn all() -> BTreeSet<Capability> {
    todo!()
}

/// Applies `--cap-add` and `--cap-drop` (names with or without `CAP_`, any case, `ALL`) to Docker's default set.
///
/// # Errors
/// Fails for a name that is no capability.
pub fn adjust(add: &[String], drop: &[String]) -> Result<BTreeSet<Capability>, UnknownCapability> {
    let _ = (add, drop);
    todo!()
}

/// Returns the sets for a process that has `capabilities`: as root bounding, permitted and effective; as another user
/// bounding only. Inheritable and ambient are always empty.
pub fn sets(capabilities: &BTreeSet<Capability>, root: bool) -> LinuxCapabilities {
    let _ = (capabilities, root);
    todo!()
}

/// Returns the names of `capabilities` in the form `CAP_NAME`.
pub fn names(capabilities: &BTreeSet<Capability>) -> BTreeSet<String> {
    let _ = capabilities;
    todo!()
}
