//! Names of volumes, which are names of directories too.

use rand::RngCore as _;

/// The text cannot name a volume.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name:?} is not usable as a volume name: use letters, digits, '_', '.' and '-', at least two, beginning with a letter or digit"
)]
pub struct InvalidVolumeName {
    name: String,
}

/// What a directory's name may have, as the kernel sees it.
const LONGEST: usize = 255;

/// Checks a name by the rules that Docker has.
pub(crate) fn check(name: &str) -> Result<(), InvalidVolumeName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if begins_well && (2..=LONGEST).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(InvalidVolumeName {
            name: name.to_owned(),
        })
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
