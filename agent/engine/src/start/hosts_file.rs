//! Changes files that a running container has mounted, such as its `/etc/hosts`.
//!
//! The container can write to them as well: they may be long, and be no text.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

/// Longest file that is looked through, in bytes. A longer one is left alone.
const LONGEST: u64 = 1024 * 1024;

/// Replaces what is in a file by what `change` makes of it, in place, since it is mounted.
///
/// # Errors
/// When it is too long, or cannot be read or written.
pub(super) fn change(path: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut before = Vec::new();
    let length = (&file).take(LONGEST + 1).read_to_end(&mut before)?;
    if length as u64 > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let after = change(&before);
    if after == before {
        return Ok(());
    }
    file.rewind()?;
    file.write_all(&after)?;
    file.set_len(after.len() as u64)
}

/// Returns the words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_left_alone_and_others_become_shorter() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("hosts");
        let long = "#".repeat(1 << 20) + "\n";
        fs::write(&path, &long).expect("file");
        change(&path, |_| Vec::new()).expect_err("too long");
        assert!(fs::read_to_string(&path).expect("file") == long);
        fs::write(&path, "172.17.0.200\tdb\n").expect("file");
        change(&path, |_| b"10.0.0.1\tdb\n".to_vec()).expect("changed");
        assert_eq!(fs::read_to_string(&path).expect("file"), "10.0.0.1\tdb\n");
    }
}
