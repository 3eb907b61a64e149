//! Versions of the kernel, as far as profiles ask for them.

/// Major and minor version of a kernel.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct KernelVersion {
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl KernelVersion {
    /// Reads `4.8` or `6.1.0-18-amd64`; whatever follows the second number does not matter.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        Some(Self { major, minor })
    }

    /// Returns the version of the running kernel, 0.0 if it calls itself something else.
    pub(super) fn running() -> Self {
        nix::sys::utsname::uname()
            .ok()
            .and_then(|names| Self::parse(names.release().to_str()?))
            .unwrap_or(Self { major: 0, minor: 0 })
    }
}
