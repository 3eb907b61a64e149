//! Folders on a host: whether one can be written, executed from, and has room.

use std::collections::BTreeMap;
use std::fmt;

/// Where the agent may be put, best first; the probe names the same.
const FOR_PROGRAMS: [&str; 3] = ["/usr/local/bin", "/opt/berth/bin", "/var/lib/berth/bin"];
/// Where the agent keeps its data unless told otherwise.
pub(crate) const DATA_ROOT: &str = "/var/lib/berth";
/// What the agent needs there before it holds any image.
pub(crate) const LEAST_DATA: u64 = 4 * 1024 * 1024;
/// What is kept free beside a program that is put somewhere.
const MARGIN: u64 = 2 * 1024 * 1024;

/// What is known of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder, which need not exist yet.
    pub folder: String,
    /// Whether root may write there.
    pub writable: bool,
    /// Whether it is mounted so that nothing there can be executed.
    pub noexec: bool,
    /// Bytes that are free; nothing when the host did not tell.
    pub free: Option<u64>,
    /// Where its file system is mounted.
    pub mounted_at: String,
}

/// The agent cannot be put on this host, as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Shortage {
    /// There is no folder for it.
    #[error("no folder on the host can hold the agent: {reasons}")]
    Nowhere {
        /// Why, per folder.
        reasons: String,
    },
    /// A folder that it needs cannot be written.
    #[error(
        "{folder} on the host cannot be written (its file system is mounted read-only at {mounted_at})"
    )]
    ReadOnly {
        /// The folder.
        folder: String,
        /// Where its file system is mounted.
        mounted_at: String,
    },
    /// There is not enough room.
    #[error(
        "{folder} on the host has {} free, and {} are needed (file system {mounted_at})",
        Size(*free),
        Size(*needed)
    )]
    Disk {
        /// The folder.
        folder: String,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
        /// Where its file system is mounted.
        mounted_at: String,
    },
}

/// Bytes as people read them.
pub(crate) struct Size(pub(crate) u64);

// === impl Place ===

impl Place {
    /// Reads the probe's line, `FOLDER WRITABLE` and what `df` said of it.
    pub(crate) fn parse(line: &str, mounts: &BTreeMap<&str, &str>) -> Option<Self> {
        let mut words = line.split_whitespace();
        let folder = words.next()?.to_owned();
        let writable = words.next()? == "1";
        let df: Vec<&str> = words.collect();
        let free = df.get(3).and_then(|blocks| blocks.parse::<u64>().ok());
        let mounted_at = df.get(5).copied().unwrap_or("/");
        let options = mounts.get(mounted_at).copied().unwrap_or_default();
        let has = |wanted: &str| options.split(',').any(|option| option == wanted);
        Some(Self {
            folder,
            // Some shells believe that root can write everywhere.
            writable: writable && !has("ro"),
            noexec: has("noexec"),
            free: free.map(|blocks| blocks * 1024),
            mounted_at: mounted_at.to_owned(),
        })
    }

    /// Returns whether programs there can be executed.
    pub(crate) fn executes(&self) -> bool {
        !self.noexec
    }

    pub(crate) fn is_for_programs(&self) -> bool {
        FOR_PROGRAMS.contains(&self.folder.as_str())
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.writable && !self.noexec
    }

    pub(crate) fn require_writable(&self) -> Result<(), Shortage> {
        if self.writable {
            return Ok(());
        }
        Err(Shortage::ReadOnly {
            folder: self.folder.clone(),
            mounted_at: self.mounted_at.clone(),
        })
    }

    pub(crate) fn require_room(&self, size: u64) -> Result<(), Shortage> {
        let needed = size + MARGIN;
        match self.free {
            Some(free) if free < needed => Err(Shortage::Disk {
                folder: self.folder.clone(),
                free,
                needed,
                mounted_at: self.mounted_at.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn why_not(&self) -> &'static str {
        match (self.writable, self.noexec) {
            (false, _) => "is read-only",
            (true, true) => "is mounted noexec",
            (true, false) => "will do",
        }
    }
}

// === impl Shortage ===

impl Shortage {
    pub(crate) fn nowhere<'a>(places: impl Iterator<Item = &'a Place>) -> Self {
        let reasons: Vec<String> = places
            .map(|place| format!("{} {}", place.folder, place.why_not()))
            .collect();
        Self::Nowhere {
            reasons: reasons.join(", "),
        }
    }

    /// Returns what the operator can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Nowhere { .. } => format!(
                "make one of {} writable and executable on the host, such as by a mount of its own",
                FOR_PROGRAMS.join(", ")
            ),
            Self::ReadOnly { mounted_at, .. } => {
                format!("on the host: mount -o remount,rw {mounted_at}")
            }
            Self::Disk { mounted_at, .. } => {
                format!("make room on the host's {mounted_at}, then run it again")
            }
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = |unit: u64| (self.0 / (unit / 10)) as f64 / 10.0;
        match self.0 {
            0..1_000_000 => write!(formatter, "{:.1} kB", tenths(1000)),
            1_000_000..1_000_000_000 => write!(formatter, "{:.1} MB", tenths(1_000_000)),
            _ => write!(formatter, "{:.1} GB", tenths(1_000_000_000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_what_df_and_the_mounts_say() {
        let mounts = BTreeMap::from([("/", "ro,relatime"), ("/opt", "rw,noexec"), ("/var", "rw")]);
        let parse = |line: &str| Place::parse(line, &mounts).unwrap();
        let usr = parse("/usr/local/bin 1 /dev/a 100 50 50 50% /");
        assert!(!usr.is_usable() && usr.executes());
        let opt = parse("/opt/berth/bin 1 /dev/b 100 50 50 50% /opt");
        assert!(!opt.is_usable() && !opt.executes());
        let var = parse("/var/lib/berth/bin 1 /dev/c 100000 0 30000 0% /var");
        assert!(var.is_usable());
        assert_eq!(var.free, Some(30_720_000));
        let error = var.require_room(40_000_000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/var/lib/berth/bin on the host has 30.7 MB free, and 42.0 MB are needed (file system \
             /var)"
        );
        let error = Shortage::nowhere([&usr, &opt].into_iter());
        assert_eq!(
            error.to_string(),
            "no folder on the host can hold the agent: /usr/local/bin is read-only, \
             /opt/berth/bin is mounted noexec"
        );
    }

    #[test]
    fn a_host_whose_df_says_nothing_is_tried() {
        let place = Place::parse("/usr/local/bin 1", &BTreeMap::new()).unwrap();
        assert!(place.is_usable());
        place.require_room(1).unwrap();
    }
}
