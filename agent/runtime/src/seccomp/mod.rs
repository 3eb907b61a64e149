//! Seccomp: profiles in Docker's JSON format, compiled to BPF by this crate.
//!
//! The programs find a system call's verdict by binary search, which makes them both short and cheap: a handful of
//! instructions for each call instead of a comparison with every number. Since they depend only on the profile, the
//! capabilities and the machine, they are kept, and starting a container compiles nothing.

mod assemble;
mod compile;
mod kernel;
mod profile;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use oci_spec::runtime::LinuxSeccomp;
use sha2::{Digest as _, Sha256};

use self::kernel::KernelVersion;
use self::profile::Profile;
use self::table::Machine;

/// Docker's default profile, in JSON.
pub const DEFAULT_PROFILE: &str = include_str!("default.json");

/// Programs that are kept; more kinds of containers than this on one machine are compiled again and again.
const MAX_KEPT: usize = 32;

/// A profile in Docker's JSON format could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// It is no such JSON.
    #[error("parsing seccomp profile")]
    Parse {
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// It asks for something that does not exist.
    #[error("seccomp profile: {what}")]
    Unsupported {
        /// What it asks for.
        what: String,
    },
}

type Kept = Mutex<HashMap<[u8; 32], Arc<[u8]>>>;

/// Returns the program for `profile` and a container with these bounding capabilities (`CAP_…`), for this machine's
/// architecture and kernel.
///
/// Programs are kept: the same question is answered from memory.
///
/// # Errors
/// Fails when the profile cannot be parsed or asks for something unknown.
pub fn compile(profile: &str, capabilities: &BTreeSet<String>) -> Result<Arc<[u8]>, SeccompError> {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    let kept = KEPT.get_or_init(Kept::default);
    let key = key(profile, capabilities);
    if let Some(program) = kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
    {
        return Ok(Arc::clone(program));
    }
    let parsed = Profile::parse(profile)?;
    let machine = Machine::native().ok_or_else(|| SeccompError::Unsupported {
        what: format!("no table of system calls for {}", std::env::consts::ARCH),
    })?;
    let program: Arc<[u8]> =
        compile::program(&parsed, machine, capabilities, KernelVersion::running())?.into();
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    kept.insert(key, Arc::clone(&program));
    Ok(program)
}

/// Returns the profile as an OCI specification has it, with the conditions on architecture, capabilities and kernel
/// already decided: for external runtimes, which compile it themselves.
///
/// # Errors
/// Fails when the profile cannot be parsed or asks for something unknown.
pub fn to_oci(
    profile: &str,
    capabilities: &BTreeSet<String>,
) -> Result<LinuxSeccomp, SeccompError> {
    let parsed = Profile::parse(profile)?;
    let machine = Machine::native().ok_or_else(|| SeccompError::Unsupported {
        what: format!("no table of system calls for {}", std::env::consts::ARCH),
    })?;
    parsed.to_oci(machine, capabilities, KernelVersion::running())
}

fn key(profile: &str, capabilities: &BTreeSet<String>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for name in capabilities {
        hash.update(name.as_bytes());
        hash.update([0]);
    }
    hash.update([1]);
    hash.update(profile.as_bytes());
    hash.finalize().into()
}
