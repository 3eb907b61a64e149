//! What `os-release` says of a distribution.

use std::collections::BTreeMap;

/// What `os-release` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`, such as `debian`; `linux` when there is no such file.
    pub id: String,
    /// `VERSION_ID`, or empty.
    pub version_id: String,
    /// `PRETTY_NAME`, for people.
    pub pretty_name: String,
    /// `ID_LIKE`: what it descends from, closest first.
    pub like: Vec<String>,
}

/// Kinds of distributions that do things alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and what descends from them.
    Debian,
    /// Fedora, Red Hat's and what descends from them.
    Fedora,
    /// SUSE's.
    Suse,
    /// Arch and what descends from it.
    Arch,
    /// Alpine.
    Alpine,
    /// Any other.
    Other,
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
        let like = take("ID_LIKE");
        let like = like.split_whitespace().map(str::to_owned).collect();
        let id = id.unwrap_or_else(|| "linux".to_owned());
        Self {
            pretty_name: pretty.unwrap_or_else(|| id.clone()),
            id,
            version_id,
            like,
        }
    }

    /// Returns what it does things like.
    #[must_use]
    pub fn family(&self) -> Family {
        std::iter::once(&self.id)
            .chain(&self.like)
            .find_map(|name| match name.as_str() {
                "debian" | "ubuntu" | "raspbian" => Some(Family::Debian),
                "fedora" | "rhel" | "centos" => Some(Family::Fedora),
                "arch" => Some(Family::Arch),
                "alpine" => Some(Family::Alpine),
                "suse" | "opensuse" | "sles" => Some(Family::Suse),
                _ => None,
            })
            .unwrap_or(Family::Other)
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
}
