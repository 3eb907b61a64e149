//! What a host is, read from what the probe printed.

use std::collections::BTreeMap;

/// What supervises services on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// systemd runs.
    Systemd,
    /// OpenRC runs.
    OpenRc,
    /// Nothing that we know; the agent supervises itself.
    Own,
}

/// How to become root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The user is root.
    Root,
    /// `sudo` works without a password.
    Sudo,
    /// `sudo` is there but wants a password.
    SudoPassword {
        /// What it said.
        said: String,
    },
    /// There is no `sudo`.
    None,
}

/// What `os-release` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`, such as `debian`; `linux` when there is no such file.
    pub id: String,
    /// `VERSION_ID`, or empty.
    pub version_id: String,
    /// `PRETTY_NAME`, for people.
    pub pretty_name: String,
}

/// What a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The distribution.
    pub os: OsRelease,
    /// What supervises services.
    pub init: Init,
    /// `uname -m`.
    pub architecture: String,
    /// `uname -r`.
    pub kernel: String,
    /// `uname -s`.
    pub system: String,
    /// The user that logged in.
    pub user: String,
    /// How to become root.
    pub privilege: Privilege,
    /// SHA-256 of the agent that is there, hex.
    pub agent_sha256: Option<String>,
    /// Whether it can unpack gzip.
    pub has_gzip: bool,
    /// Its clock, in seconds since 1970.
    pub clock: u64,
}

// === impl OsRelease ===

impl OsRelease {
    /// Reads the text of `os-release`: shell assignments, quoted or not.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'))
        {
            if let Some((key, value)) = line.split_once('=') {
                values.insert(key.trim(), unquote(value.trim()));
            }
        }
        let mut take = |key: &str| values.remove(key).unwrap_or_default();
        let id = Some(take("ID")).filter(|id| !id.is_empty());
        let pretty = Some(take("PRETTY_NAME")).filter(|name| !name.is_empty());
        let version_id = take("VERSION_ID");
        let id = id.unwrap_or_else(|| "linux".to_owned());
        Self {
            pretty_name: pretty.unwrap_or_else(|| id.clone()),
            id,
            version_id,
        }
    }
}

/// Takes the quotes and backslashes of a shell word away.
fn unquote(value: &str) -> String {
    let quoted = |mark| {
        value
            .strip_prefix(mark)
            .and_then(|v: &str| v.strip_suffix(mark))
    };
    if let Some(inner) = quoted('\'') {
        return inner.to_owned();
    }
    let inner = quoted('"').unwrap_or(value);
    let mut text = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next()),
            other => text.push(other),
        }
    }
    text
}

// === impl HostFacts ===

impl HostFacts {
    /// Reads what the probe printed; `None` when it did not run to its end.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        let mut os = String::new();
        for line in text.lines() {
            // What a login script prints besides has no such prefix.
            let Some(line) = line.strip_prefix("berth:") else {
                continue;
            };
            match line.split_once('=') {
                Some(("os", line)) => {
                    os.push_str(line);
                    os.push('\n');
                }
                Some((key, value)) => {
                    values.insert(key, value);
                }
                None => {}
            }
        }
        if values.get("end") != Some(&"1") {
            return None;
        }
        let text = |key: &str| values.get(key).copied().unwrap_or_default().to_owned();
        let privilege = match text("root").as_str() {
            "user" => Privilege::Root,
            "sudo" => Privilege::Sudo,
            "password" => Privilege::SudoPassword { said: text("sudo") },
            _ => Privilege::None,
        };
        let init = match text("init").as_str() {
            "systemd" => Init::Systemd,
            "openrc" => Init::OpenRc,
            _ => Init::Own,
        };
        Some(Self {
            os: OsRelease::parse(&os),
            init,
            architecture: text("machine"),
            kernel: text("kernel"),
            system: text("system"),
            user: text("name"),
            privilege,
            agent_sha256: Some(text("agent")).filter(|digest| digest.len() == 64),
            has_gzip: text("gzip") == "1",
            clock: text("clock").parse().unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_with_its_quotes() {
        let os = OsRelease::parse(
            "# comment\nPRETTY_NAME=\"Debian \\\"12\\\" = good\"\nID=debian\nVERSION_ID='12'\n",
        );
        assert_eq!(os.id, "debian");
        assert_eq!(os.version_id, "12");
        assert_eq!(os.pretty_name, "Debian \"12\" = good");
    }

    #[test]
    fn host_without_os_release_is_linux() {
        let os = OsRelease::parse("");
        assert_eq!(
            (os.id.as_str(), os.pretty_name.as_str()),
            ("linux", "linux")
        );
    }

    #[test]
    fn chatter_of_login_scripts_is_not_taken_for_facts() {
        let text = "Welcome!\ninit=systemd\nberth:machine=x86_64\nberth:root=user\nberth:end=1\n";
        let facts = HostFacts::parse(text).unwrap();
        assert_eq!(facts.init, Init::Own);
        assert_eq!(facts.privilege, Privilege::Root);
        assert_eq!(facts.agent_sha256, None);
    }

    #[test]
    fn cut_off_probe_is_no_answer() {
        assert_eq!(
            HostFacts::parse("berth:machine=x86_64\nberth:root=user\n"),
            None
        );
    }
}
