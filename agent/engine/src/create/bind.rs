//! Reads `-v` and `--tmpfs` texts. No I/O: whether a host path exists is found out later.

use serde::{Deserialize, Serialize};

/// Where a mount's files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BindSource {
    /// A path of the machine, made as a directory when it does not exist.
    HostPath(String),
    /// A volume with a name.
    Volume(String),
    /// A volume without a name of its own.
    Anonymous,
}

/// One `-v`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) source: BindSource,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    /// Copy what the image has at the target into a new volume.
    pub(crate) copy_up: bool,
    /// `rprivate`, `rshared`, …; empty: the default.
    pub(crate) propagation: String,
    /// The options as written, for `inspect`.
    pub(crate) mode: String,
}

/// One `--tmpfs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tmpfs {
    pub(crate) target: String,
    pub(crate) options: Vec<String>,
}

/// A mount text is wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MountSyntaxError {
    /// Too many or too few parts.
    #[error("invalid volume specification: '{0}'")]
    Malformed(String),
    /// The target is relative.
    #[error(
        "invalid volume specification: '{text}': invalid mount path: '{target}' mount path must be absolute"
    )]
    RelativeTarget {
        /// The whole text.
        text: String,
        /// Its target.
        target: String,
    },
    /// The target is the root.
    #[error("invalid volume specification: '{0}': invalid specification: destination can't be '/'")]
    TargetIsRoot(String),
    /// An option that does not exist.
    #[error("invalid volume specification: '{text}': invalid mode: {mode}")]
    Mode {
        /// The whole text.
        text: String,
        /// Its options.
        mode: String,
    },
    /// The source is neither an absolute path nor a possible name.
    #[error(
        "\"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    VolumeName(String),
    /// Two mounts at one target.
    #[error("Duplicate mount point: {0}")]
    Duplicate(String),
}

impl Bind {
    /// Reads `source:target[:options]` or `/target`.
    pub(crate) fn parse(text: &str) -> Result<Self, MountSyntaxError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts[..] {
            [target] => (BindSource::Anonymous, target, ""),
            [source, target] => (named_source(text, source)?, target, ""),
            [source, target, mode] if !mode.is_empty() => {
                (named_source(text, source)?, target, mode)
            }
            _ => return Err(MountSyntaxError::Malformed(text.to_owned())),
        };
        let target = absolute_target(text, target)?;
        let mut bind = Self {
            source,
            target,
            read_only: false,
            copy_up: true,
            propagation: String::new(),
            mode: mode.to_owned(),
        };
        for option in mode.split(',').filter(|o| !o.is_empty()) {
            bind.apply(option).ok_or_else(|| MountSyntaxError::Mode {
                text: text.to_owned(),
                mode: mode.to_owned(),
            })?;
        }
        Ok(bind)
    }

    fn apply(&mut self, option: &str) -> Option<()> {
        match option {
            "ro" | "readonly" => self.read_only = true,
            // Labels for SELinux and hints for other systems change nothing here.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "volume-nocopy=false" => {}
            "nocopy" => self.copy_up = false,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                option.clone_into(&mut self.propagation);
            }
            _ => return None,
        }
        Some(())
    }
}

impl Tmpfs {
    /// Reads `target[:options]`.
    pub(crate) fn parse(text: &str) -> Result<Self, MountSyntaxError> {
        let (target, given) = text.split_once(':').unwrap_or((text, ""));
        let target = absolute_target(text, target)?;
        let given: Vec<&str> = given.split(',').filter(|o| !o.is_empty()).collect();
        let mut options: Vec<String> = Vec::new();
        for (default, opposite) in [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")] {
            if !given.contains(&opposite) {
                options.push(default.to_owned());
            }
        }
        for option in given {
            let key = option.split('=').next().unwrap_or_default();
            match key {
                "rw" | "ro" | "noexec" | "exec" | "nosuid" | "suid" | "nodev" | "dev" | "size"
                | "mode" | "uid" | "gid" | "nr_inodes" | "nr_blocks" | "noatime" | "relatime" => {}
                _ => {
                    return Err(MountSyntaxError::Mode {
                        text: text.to_owned(),
                        mode: option.to_owned(),
                    });
                }
            }
            if !options.iter().any(|o| o == option) {
                options.push(option.to_owned());
            }
        }
        Ok(Self { target, options })
    }
}

fn named_source(text: &str, source: &str) -> Result<BindSource, MountSyntaxError> {
    if source.is_empty() {
        return Err(MountSyntaxError::Malformed(text.to_owned()));
    }
    if source.starts_with('/') {
        return Ok(BindSource::HostPath(clean(source)));
    }
    if crate::container::names::is_valid(source) {
        return Ok(BindSource::Volume(source.to_owned()));
    }
    Err(MountSyntaxError::VolumeName(source.to_owned()))
}

fn absolute_target(text: &str, target: &str) -> Result<String, MountSyntaxError> {
    if !target.starts_with('/') {
        return Err(if target.is_empty() {
            MountSyntaxError::Malformed(text.to_owned())
        } else {
            MountSyntaxError::RelativeTarget {
                text: text.to_owned(),
                target: target.to_owned(),
            }
        });
    }
    let target = clean(target);
    if target == "/" {
        return Err(MountSyntaxError::TargetIsRoot(text.to_owned()));
    }
    Ok(target)
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
    fn the_three_forms_are_told_apart() {
        let host = Bind::parse("/a/../b:/c/:ro").expect("host path");
        assert_eq!(host.source, BindSource::HostPath("/b".to_owned()));
        assert_eq!((host.target.as_str(), host.read_only), ("/c", true));
        let volume = Bind::parse("data:/c").expect("volume");
        assert_eq!(volume.source, BindSource::Volume("data".to_owned()));
        let anonymous = Bind::parse("/c").expect("anonymous");
        assert_eq!(anonymous.source, BindSource::Anonymous);
    }

    #[test]
    fn wrong_binds_are_refused_with_their_reason() {
        assert!(matches!(
            Bind::parse("ab:c"),
            Err(MountSyntaxError::RelativeTarget { .. })
        ));
        assert!(matches!(
            Bind::parse("ab:/"),
            Err(MountSyntaxError::TargetIsRoot(_))
        ));
        assert!(matches!(
            Bind::parse("ab:/x/.."),
            Err(MountSyntaxError::TargetIsRoot(_))
        ));
        assert!(matches!(
            Bind::parse("ab:/b:rx"),
            Err(MountSyntaxError::Mode { .. })
        ));
        assert!(matches!(
            Bind::parse("a/b:/c"),
            Err(MountSyntaxError::VolumeName(_))
        ));
        for text in ["", ":", "::", "ab:", ":/b", "ab:/b:", "ab:/b:ro:x"] {
            assert!(
                matches!(Bind::parse(text), Err(MountSyntaxError::Malformed(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_tmpfs_is_restricted_unless_asked_otherwise() {
        let tmpfs = Tmpfs::parse("/run:size=1m,exec").expect("valid");
        assert_eq!(tmpfs.options, ["nosuid", "nodev", "size=1m", "exec"]);
        assert!(matches!(
            Tmpfs::parse("/run:upperdir=/etc"),
            Err(MountSyntaxError::Mode { .. })
        ));
    }
}
