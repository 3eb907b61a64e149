//! Files of certificates.

use std::fs;
use std::path::Path;

use super::CredentialsError;

/// Returns a file's text, or nothing when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, CredentialsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CredentialsError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Returns the text of a file that must be there.
pub(super) fn require(path: &Path) -> Result<String, CredentialsError> {
    let absent = || std::io::Error::from(std::io::ErrorKind::NotFound);
    read(path)?.ok_or_else(|| CredentialsError::Unreadable {
        path: path.to_owned(),
        source: absent(),
    })
}

/// Replaces a file unless it has this text already.
pub(super) fn settle(path: &Path, text: &str) -> Result<bool, CredentialsError> {
    if read(path)?.as_deref() == Some(text) {
        return Ok(false);
    }
    berth_controller_store::write_private(path, text.as_bytes())?;
    Ok(true)
}
