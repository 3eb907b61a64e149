//! Names and numbers of Linux capabilities, Docker's default set and `--cap-add`/`--cap-drop`.

use std::collections::BTreeSet;

use berth_agent_sys::capability;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};

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

/// All capabilities; the place is the kernel's number.
const BY_NUMBER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// Returns every capability that this process can hand on (what `--privileged` gives).
pub fn all() -> Capabilities {
    let available = capability::bounding();
    BY_NUMBER
        .into_iter()
        .enumerate()
        .filter(|(number, _)| available >> number & 1 == 1)
        .map(|(_, c)| c)
        .collect()
}

/// Applies `--cap-add` and `--cap-drop` (names with or without `CAP_`, any case, `ALL`) to Docker's default set.
///
/// As in Docker, single names prevail over `ALL`: `--cap-drop ALL --cap-add CHOWN` leaves one.
///
/// # Errors
/// Fails for a name that is no capability.
pub fn adjust(add: &[String], drop: &[String]) -> Result<Capabilities, UnknownCapability> {
    let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
    let added = named(add)?;
    let dropped = named(drop)?;
    let base = match (add.iter().any(is_all), drop.iter().any(is_all)) {
        (true, _) => all(),
        (false, true) => Capabilities::new(),
        (false, false) => DEFAULT.into_iter().collect(),
    };
    let mut result: Capabilities = base.difference(&dropped).copied().collect();
    result.extend(added.difference(&dropped));
    if drop.iter().any(is_all) {
        result.extend(added);
    }
    Ok(result)
}

fn named(names: &[String]) -> Result<Capabilities, UnknownCapability> {
    names
        .iter()
        .filter(|name| !name.eq_ignore_ascii_case("ALL"))
        .map(|name| parse(name))
        .collect()
}

fn parse(name: &str) -> Result<Capability, UnknownCapability> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let found = BY_NUMBER
        .into_iter()
        .find(|capability| capability.to_string() == bare);
    found.ok_or_else(|| UnknownCapability {
        name: name.to_owned(),
    })
}

/// Returns the sets for a process that has `capabilities`: as root bounding, permitted and effective; as another user
/// bounding only. Inheritable and ambient are always empty.
pub fn sets(capabilities: &Capabilities, root: bool) -> LinuxCapabilities {
    let own = if root {
        capabilities.clone()
    } else {
        Capabilities::new()
    };
    LinuxCapabilitiesBuilder::default()
        .bounding(capabilities.clone())
        .effective(own.clone())
        .permitted(own)
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()
        .unwrap_or_default()
}

/// Returns the names of `capabilities` in the form `CAP_NAME`.
pub fn names(capabilities: &Capabilities) -> BTreeSet<String> {
    capabilities
        .iter()
        .map(|capability| format!("CAP_{capability}"))
        .collect()
}

/// Returns `capabilities` as bits.
pub(crate) fn bits(capabilities: Option<&Capabilities>) -> u64 {
    let Some(capabilities) = capabilities else {
        return 0;
    };
    let numbered = BY_NUMBER.iter().enumerate();
    numbered
        .filter(|(_, capability)| capabilities.contains(capability))
        .fold(0, |bits, (n, _)| bits | 1 << n)
}

/// Returns the names of the capabilities among `bits`.
pub(crate) fn names_of_bits(bits: u64) -> Vec<String> {
    let numbered = BY_NUMBER.iter().enumerate();
    numbered
        .filter(|(n, _)| bits >> n & 1 == 1)
        .map(|(_, capability)| format!("CAP_{capability}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(names: &[&str]) -> Vec<String> {
        names.iter().map(|&n| n.to_owned()).collect()
    }

    #[test]
    fn numbers_are_the_kernels() {
        let of = |capability| bits(Some(&[capability].into_iter().collect()));
        assert_eq!(of(Capability::SysAdmin), 1 << 21);
        assert_eq!(of(Capability::Setfcap), 1 << 31);
        assert_eq!(of(Capability::CheckpointRestore), 1 << 40);
        assert_eq!(names_of_bits(1 << 21), ["CAP_SYS_ADMIN"]);
    }

    #[test]
    fn single_names_prevail_over_all() {
        let only = adjust(&words(&["chown"]), &words(&["ALL"])).unwrap();
        assert_eq!(only, [Capability::Chown].into_iter().collect());
        let all_but = adjust(&words(&["all"]), &words(&["CAP_CHOWN"])).unwrap();
        assert!(!all_but.contains(&Capability::Chown) && all_but.contains(&Capability::SysAdmin));
        let more = adjust(&words(&["NET_ADMIN"]), &words(&["MKNOD"])).unwrap();
        assert_eq!(more.len(), DEFAULT.len());
    }

    #[test]
    fn a_name_that_is_none_is_refused_as_given() {
        let error = adjust(&words(&["cap_everything"]), &[]).unwrap_err();
        assert_eq!(error.to_string(), "unknown capability cap_everything");
    }
}
