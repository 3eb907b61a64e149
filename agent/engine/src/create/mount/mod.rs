//! What is to be mounted where, read out of `-v`, `--mount`, `--tmpfs` and `--volumes-from`. No I/O:
//! whether a path of the machine exists is found out later.

pub(crate) mod bind;
pub(crate) mod error;
pub(crate) mod long;
pub(crate) mod tmpfs;
pub(crate) mod volumes_from;

use std::collections::BTreeMap;

pub(crate) use bind::parse as parse_bind;
pub use error::{InvalidMount, MountFault, MountSyntaxError};
pub(crate) use tmpfs::Tmpfs;

/// Where a mount's files come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum PointSource {
    /// A path of the machine.
    HostPath(String),
    /// A volume with a name.
    Volume(String),
    /// A volume without a name of its own.
    #[default]
    Anonymous,
    /// Memory, with options for the filesystem.
    Tmpfs(Vec<String>),
}

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own of one mount"
)]
pub(crate) struct MountPoint {
    pub(crate) source: PointSource,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    /// Copies what the image has at the target into a new volume.
    pub(crate) copy_up: bool,
    /// `rprivate`, `rshared`, …; empty for what is no path of the machine.
    pub(crate) propagation: String,
    /// The options as written, for `inspect`.
    pub(crate) mode: String,
    /// A path of the machine that is not made when it is missing.
    pub(crate) must_exist: bool,
    /// Leaves out what is mounted below.
    pub(crate) non_recursive: bool,
    /// Read-only does not hold for what is mounted below.
    pub(crate) writable_below: bool,
    /// Path in the volume.
    pub(crate) subpath: String,
    /// Of a volume that is made.
    pub(crate) labels: BTreeMap<String, String>,
    /// Of a volume that is made; empty: `local`.
    pub(crate) driver: String,
    /// For that driver.
    pub(crate) driver_options: BTreeMap<String, String>,
}

/// Propagation of a path of the machine that nobody chose.
pub(crate) const DEFAULT_PROPAGATION: &str = "rprivate";

/// Whether `word` is a kind of propagation.
pub(crate) fn is_propagation(word: &str) -> bool {
    matches!(
        word,
        "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave"
    )
}

/// Checks the place of a mount and returns it in its simplest form.
pub(crate) fn checked_target(target: &str) -> Result<String, MountFault> {
    if target.is_empty() {
        return Err(MountFault::Missing("Target"));
    }
    // As Docker, which takes both kinds of slashes.
    let slashed = target.replace('\\', "/");
    if !slashed.starts_with('/') || target.contains('\0') {
        return Err(MountFault::NotAbsolute(target.to_owned()));
    }
    if clean(&slashed) == "/" {
        return Err(MountFault::Root);
    }
    Ok(if target.starts_with('/') {
        clean(target)
    } else {
        target.to_owned()
    })
}

/// Removes `.`, `..` and doubled slashes from an absolute path, by text alone.
pub(crate) fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_cleaned_by_text_and_never_the_root() {
        assert_eq!(checked_target("/a//b/../c/.").as_deref(), Ok("/a/c"));
        for root in ["/", "//", "/.", "/a/..", "/../.."] {
            assert_eq!(checked_target(root), Err(MountFault::Root), "{root}");
        }
        for wrong in ["a", "./a", "..", "a:b", "/a\0b"] {
            assert!(
                matches!(checked_target(wrong), Err(MountFault::NotAbsolute(_))),
                "{wrong}"
            );
        }
    }
}
