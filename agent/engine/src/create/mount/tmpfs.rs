//! `--tmpfs`: `target[:options]`.

use super::{MountSyntaxError, checked_target};

/// What a tmpfs is restricted by unless it is told otherwise, and the word that tells.
const DEFAULTS: [(&str, &str); 3] = [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")];

/// One `--tmpfs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tmpfs {
    pub(crate) target: String,
    pub(crate) options: Vec<String>,
}

impl Tmpfs {
    /// Reads `target[:options]`.
    pub(crate) fn parse(text: &str) -> Result<Self, MountSyntaxError> {
        let (target, given) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            target: checked_target(target)?,
            options: options(given)?,
        })
    }
}

/// Returns the options as given, over the restrictions.
pub(super) fn options(given: &str) -> Result<Vec<String>, MountSyntaxError> {
    let given: Vec<&str> = given.split(',').filter(|o| !o.is_empty()).collect();
    let mut options: Vec<String> = Vec::new();
    for (default, opposite) in DEFAULTS {
        if !given.contains(&opposite) {
            options.push(default.to_owned());
        }
    }
    for option in given {
        if !is_known(option) {
            return Err(MountSyntaxError::TmpfsOption(option.to_owned()));
        }
        if !options.iter().any(|o| o == option) {
            options.push(option.to_owned());
        }
    }
    Ok(options)
}

/// Only what concerns a tmpfs: other words would make another kind of mount out of it.
fn is_known(option: &str) -> bool {
    match option.split_once('=') {
        Some((key, value)) => {
            matches!(
                key,
                "size" | "mode" | "uid" | "gid" | "nr_inodes" | "nr_blocks" | "mpol"
            ) && !value.is_empty()
                && value.bytes().all(|b| b.is_ascii_graphic())
        }
        None => matches!(
            option,
            "defaults"
                | "rw"
                | "ro"
                | "noexec"
                | "exec"
                | "nosuid"
                | "suid"
                | "nodev"
                | "dev"
                | "atime"
                | "noatime"
                | "relatime"
                | "strictatime"
                | "nostrictatime"
                | "diratime"
                | "nodiratime"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tmpfs_is_restricted_unless_asked_otherwise() {
        let tmpfs = Tmpfs::parse("/run:size=1m,exec").expect("valid");
        assert_eq!(tmpfs.options, ["nosuid", "nodev", "size=1m", "exec"]);
    }

    #[test]
    fn nothing_else_can_be_made_of_it() {
        for text in [
            "/run:upperdir=/etc",
            "/run:bind",
            "/run:size=",
            "/run:rshared",
        ] {
            assert!(
                matches!(Tmpfs::parse(text), Err(MountSyntaxError::TmpfsOption(_))),
                "{text}"
            );
        }
        for text in ["run", "/", ""] {
            assert!(
                matches!(Tmpfs::parse(text), Err(MountSyntaxError::Tmpfs(_))),
                "{text}"
            );
        }
    }
}
