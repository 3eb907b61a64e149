//! Names of volumes, which are names of directories too.

use rand::RngCore as _;

/// The text cannot name a volume. The sentences are Docker's, which clients know.
#[derive(Debug, thiserror::Error)]
pub enum InvalidVolumeName {
    /// A single letter, which is taken for a drive elsewhere.
    #[error("volume name is too short, names should be at least two alphanumeric characters")]
    Short,
    /// Something in it is not allowed.
    #[error(
        "{0:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Characters(String),
}

/// What a directory's name may have, as the kernel sees it.
const LONGEST: usize = 255;

/// Checks a name by the rules that Docker has.
pub(crate) fn check(name: &str) -> Result<(), InvalidVolumeName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if name.len() == 1 {
        return Err(InvalidVolumeName::Short);
    }
    if begins_well && (2..=LONGEST).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(InvalidVolumeName::Characters(name.to_owned()))
    }
}

/// Returns a name for a volume that nobody named.
pub(crate) fn random() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers_and_never_leave_their_directory() {
        for name in ["db", "my_data-1.2", "0x", &random(), &"x".repeat(255)] {
            check(name).unwrap();
        }
        for name in [
            "",
            "a",
            ".",
            "..",
            ".hidden",
            "-x",
            "a/b",
            "a b",
            "ä1",
            "a\0",
            &"x".repeat(256),
        ] {
            check(name).unwrap_err();
        }
    }
}
