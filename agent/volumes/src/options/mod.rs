//! The options of the `local` driver: something that is mounted in a volume's place. Their names and
//! what goes with what are Docker's. No I/O here except for the looking up of servers' names.

mod address;
mod flags;

use std::collections::BTreeMap;
use std::io;

use nix::mount::MsFlags;

/// An option of a volume is wrong. The sentences are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVolumeOption {
    /// No such option.
    #[error("invalid option: {0:?}")]
    Unknown(String),
    /// One that another one needs.
    #[error("missing required option: {0:?}")]
    Missing(&'static str),
    /// No size.
    #[error("invalid size: '{0}'")]
    Size(String),
    /// Volumes have no quotas here.
    #[error("quota size requested but no quota support")]
    Quota,
}

/// The options that there are.
const KNOWN: [&str; 4] = ["type", "o", "device", "size"];

/// Each with what it needs.
const NEEDS: [(&str, &[&str]); 3] = [
    ("device", &["type"]),
    ("type", &["device"]),
    ("o", &["device", "type"]),
];

/// Checks the options of a new volume.
pub(crate) fn check(options: &BTreeMap<String, String>) -> Result<(), InvalidVolumeOption> {
    let known = |name: &String| KNOWN.contains(&name.as_str());
    if let Some(unknown) = options.keys().find(|name| !known(name)) {
        return Err(InvalidVolumeOption::Unknown(unknown.clone()));
    }
    if let Some(size) = options.get("size") {
        let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        match digits.trim().parse::<f64>() {
            Ok(0.0) => {}
            Ok(number) if number > 0.0 => return Err(InvalidVolumeOption::Quota),
            _ => return Err(InvalidVolumeOption::Size(size.clone())),
        }
    }
    for (name, needed) in NEEDS {
        if options.contains_key(name)
            && let Some(missing) = needed.iter().find(|needed| !options.contains_key(**needed))
        {
            return Err(InvalidVolumeOption::Missing(missing));
        }
    }
    Ok(())
}

/// What is mounted in a volume's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountPlan {
    pub(crate) kind: String,
    pub(crate) device: String,
    pub(crate) flags: MsFlags,
    pub(crate) propagation: MsFlags,
    /// What is for the filesystem itself.
    pub(crate) data: String,
}

impl MountPlan {
    /// Reads the options of a volume; nothing when it is a plain directory.
    pub(crate) fn read(options: &BTreeMap<String, String>) -> Option<Self> {
        let (kind, device) = (options.get("type")?, options.get("device")?);
        let words = options.get("o").map_or("", String::as_str);
        let (flags, propagation, data) = flags::read(words);
        Some(Self {
            kind: kind.clone(),
            device: device.clone(),
            flags,
            propagation,
            data,
        })
    }

    /// Replaces names of servers by their addresses: the kernel looks up none.
    pub(crate) fn resolve(mut self) -> io::Result<Self> {
        match self.kind.as_str() {
            "nfs" | "nfs4" => self.data = address::of_nfs(&self.device, &self.data)?,
            "cifs" => (self.device, self.data) = address::of_cifs(&self.device, &self.data)?,
            _ => {}
        }
        Ok(self)
    }

    /// Whether what is in it goes with its last user.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs")
    }

    /// The data as it may be shown to people.
    pub(crate) fn shown_data(&self) -> String {
        let words = self.data.split(',');
        let hidden = words.map(|word| match word.split_once('=') {
            Some((key @ ("password" | "pass"), _)) => format!("{key}=********"),
            _ => word.to_owned(),
        });
        hidden.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn options_that_make_no_sense_are_refused_in_dockers_words() {
        let refused = |pairs: &[(&str, &str)]| check(&options(pairs)).unwrap_err().to_string();
        assert_eq!(refused(&[("foo", "1")]), "invalid option: \"foo\"");
        assert_eq!(
            refused(&[("device", "/x")]),
            "missing required option: \"type\""
        );
        assert_eq!(
            refused(&[("o", "bind"), ("type", "none")]),
            "missing required option: \"device\""
        );
        assert_eq!(
            refused(&[("size", "1g")]),
            "quota size requested but no quota support"
        );
        assert_eq!(refused(&[("size", "x")]), "invalid size: 'x'");
        check(&options(&[])).unwrap();
        check(&options(&[
            ("type", "tmpfs"),
            ("device", "tmpfs"),
            ("o", "size=1m"),
        ]))
        .unwrap();
    }

    #[test]
    fn flags_are_the_kernels_and_the_rest_is_the_filesystems() {
        let plan = MountPlan::read(&options(&[
            ("type", "tmpfs"),
            ("device", "tmpfs"),
            ("o", "size=1m,ro,noexec,exec,uid=5,rshared"),
        ]));
        let plan = plan.unwrap();
        assert_eq!(plan.flags, MsFlags::MS_RDONLY);
        assert_eq!(plan.propagation, MsFlags::MS_SHARED | MsFlags::MS_REC);
        assert_eq!(plan.data, "size=1m,uid=5");
        assert!(MountPlan::read(&options(&[])).is_none());
    }

    #[test]
    fn servers_become_addresses_and_passwords_stay_hidden() {
        let plan = |kind, device, words| {
            let options = options(&[("type", kind), ("device", device), ("o", words)]);
            MountPlan::read(&options).unwrap().resolve()
        };
        let data = |kind, device, words| plan(kind, device, words).unwrap().data;
        assert_eq!(data("nfs", ":/export", "addr=10.0.0.9,rw"), "addr=10.0.0.9");
        assert_eq!(
            data("nfs4", "127.0.0.1:/export", "soft"),
            "soft,addr=127.0.0.1"
        );
        assert_eq!(data("nfs", "[::1]:/x", "vers=4"), "vers=4,addr=::1");
        let local = data("nfs", ":/export", "addr=localhost,vers=4");
        assert!(
            ["addr=127.0.0.1,vers=4", "addr=::1,vers=4"].contains(&local.as_str()),
            "{local}"
        );
        let error = plan("nfs", ":/x", "addr=host.invalid").unwrap_err();
        assert!(error.to_string().contains("host.invalid"), "{error}");
        let share = plan("cifs", "//127.0.0.1/share", "username=u,password=p").unwrap();
        assert_eq!(share.device, "//127.0.0.1/share");
        assert_eq!(share.shown_data(), "username=u,password=********");
    }
}
