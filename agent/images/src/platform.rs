//! Which machine an image is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system, architecture and variant in Go's naming, `os/arch[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system.
    pub os: String,
    /// The architecture.
    pub architecture: String,
    /// The variant, such as `v7`; empty when it does not matter.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform {text:?}")]
pub struct ParsePlatformError {
    text: String,
}

impl Platform {
    /// Returns the platform of this machine.
    #[must_use]
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            "powerpc64" => ("ppc64le", ""),
            other => (other, ""),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        }
    }

    /// Tells how well an image for `offered` runs here: `None` for not at all, higher is better.
    #[must_use]
    pub fn suitability(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let (wanted, found) = (self.normal_variant(), offered.normal_variant());
        if wanted == found {
            return Some(u32::MAX);
        }
        // A variant runs what was built for a smaller one of the same architecture.
        let number = |variant: &str| variant.strip_prefix('v').unwrap_or(variant).parse().ok();
        let (wanted, found): (u32, u32) = (number(wanted)?, number(found)?);
        (found < wanted).then_some(found)
    }

    fn normal_variant(&self) -> &str {
        match (self.architecture.as_str(), self.variant.as_str()) {
            ("amd64", "") => "v1",
            ("arm64", "" | "8") => "v8",
            ("arm", "" | "7") => "v7",
            ("arm", "5") => "v5",
            ("arm", "6") => "v6",
            (_, variant) => variant,
        }
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParsePlatformError {
            text: text.to_owned(),
        };
        let is_word = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            !part.is_empty() && part.bytes().all(plain)
        };
        let parts: Vec<String> = text.split('/').map(str::to_ascii_lowercase).collect();
        if !parts.iter().all(|part| is_word(part)) {
            return Err(error());
        }
        let architecture = |name: &str| match name {
            "x86_64" | "x86-64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            "i386" => "386".to_owned(),
            "armhf" => "arm".to_owned(),
            name => name.to_owned(),
        };
        match parts.as_slice() {
            [os] if os == "linux" => Ok(Self::host()),
            [os, name] => Ok(Self {
                os: os.clone(),
                architecture: architecture(name),
                variant: String::new(),
            }),
            [os, name, variant] => Ok(Self {
                os: os.clone(),
                architecture: architecture(name),
                variant: variant.clone(),
            }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.variant)
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    fn platform(text: &str) -> Platform {
        text.parse().expect("platform")
    }

    #[test]
    fn a_newer_variant_runs_older_images_but_not_the_reverse() {
        let v7 = platform("linux/arm/v7");
        assert!(v7.suitability(&platform("linux/arm")).is_some());
        assert!(
            v7.suitability(&platform("linux/arm/v6")) > v7.suitability(&platform("linux/arm/v5"))
        );
        assert_eq!(v7.suitability(&platform("linux/arm/v8")), None);
        assert_eq!(v7.suitability(&platform("linux/amd64")), None);
        let amd64 = platform("linux/x86_64");
        assert!(amd64.suitability(&platform("linux/amd64")).is_some());
        assert_eq!(amd64.suitability(&platform("linux/amd64/v3")), None);
    }

    #[test]
    fn nonsense_is_no_platform() {
        for text in ["", "linux/", "a/b/c/d", "linux/amd 64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
