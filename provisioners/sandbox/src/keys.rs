//! Ed25519 keys in OpenSSH's files, made in this process: a program in the background could
//! outlive a killed `create` and write after everything was removed.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_provisioners_api::DriverError;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::disk::unless_gone;
use crate::failure::Doing as _;

const KIND: &[u8] = b"ssh-ed25519";

/// Makes a key, unless it is there.
pub(crate) fn make(path: &Path, comment: &str) -> Result<(), DriverError> {
    // The private half is put in its place last.
    if path.exists() && public_half(path).exists() {
        return Ok(());
    }
    let doing = || format!("cannot make key {}", path.display());
    let mut seed = [0; 32];
    let mut check = [0; 4];
    SystemRandom::new()
        .fill(&mut seed)
        .and_then(|()| SystemRandom::new().fill(&mut check))
        .map_err(|error| error.to_string())
        .doing(doing)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
        .map_err(|error| error.to_string())
        .doing(doing)?;
    let public = pair.public_key().as_ref();
    let line = format!(
        "ssh-ed25519 {} {comment}\n",
        STANDARD.encode(public_blob(public))
    );
    write(&public_half(path), line.as_bytes(), 0o644).doing(doing)?;
    let text = private_file(&seed, public, check, comment);
    write(path, text.as_bytes(), 0o600).doing(doing)
}

/// Returns the file with the public half of `key`.
pub(crate) fn public_half(key: &Path) -> PathBuf {
    let mut path = key.as_os_str().to_owned();
    path.push(".pub");
    path.into()
}

/// Returns the file that becomes `path` once it is complete.
pub(crate) fn fresh(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".new");
    path.into()
}

/// Returns the public half of a key as SSH's files have it, without the comment.
pub(crate) fn public_key(key: &Path) -> Result<String, DriverError> {
    let path = public_half(key);
    let text = fs::read_to_string(&path).doing(|| format!("cannot read key {}", path.display()))?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key)) => Ok(format!("{kind} {key}")),
        _ => Err(DriverError::refused(format!(
            "key {} is empty",
            path.display()
        ))),
    }
}

fn write(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let fresh = fresh(path);
    unless_gone(fs::remove_file(&fresh))?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&fresh)?;
    file.write_all(text)?;
    fs::rename(&fresh, path)
}

fn public_blob(public: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, KIND);
    put(&mut blob, public);
    blob
}

/// Returns the text of a private key's file, not encrypted: format "openssh-key-v1".
fn private_file(seed: &[u8], public: &[u8], check: [u8; 4], comment: &str) -> String {
    let mut secret = Vec::new();
    // Twice the same, by which a reader with a passphrase would see that it was right.
    secret.extend_from_slice(&check);
    secret.extend_from_slice(&check);
    put(&mut secret, KIND);
    put(&mut secret, public);
    put(&mut secret, &[seed, public].concat());
    put(&mut secret, comment.as_bytes());
    let mut padding = 1..;
    while secret.len() % 8 != 0 {
        secret.extend(padding.next());
    }

    let mut blob = b"openssh-key-v1\0".to_vec();
    put(&mut blob, b"none");
    put(&mut blob, b"none");
    put(&mut blob, b"");
    blob.extend_from_slice(&1_u32.to_be_bytes());
    put(&mut blob, &public_blob(public));
    put(&mut blob, &secret);
    let encoded = STANDARD.encode(blob);
    let mut text = "-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(70));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text + "-----END OPENSSH PRIVATE KEY-----\n"
}

/// Appends a string with its length in front.
fn put(blob: &mut Vec<u8>, bytes: &[u8]) {
    // Nothing here is longer than a name.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    blob.extend_from_slice(&length.to_be_bytes());
    blob.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn openssh_takes_the_private_half_and_finds_the_same_public_one() {
        let directory = tempfile::tempdir().unwrap();
        for comment in ["", "a", "demo", "a-longer-name.example"] {
            let key = directory.path().join(format!("key-{comment}"));
            make(&key, comment).unwrap();
            let output = Command::new("ssh-keygen")
                .arg("-y")
                .arg("-f")
                .arg(&key)
                .output()
                .unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.starts_with(&public_key(&key).unwrap()), "{said}");
            assert!(said.trim_end().ends_with(comment));
        }
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        make(&key, "demo").unwrap();
        let first = public_key(&key).unwrap();
        make(&key, "demo").unwrap();
        assert_eq!(public_key(&key).unwrap(), first);
        let mode = fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_was_cut_off_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        fs::write(fresh(&key), "half").unwrap();
        fs::write(public_half(&key), "without its private half").unwrap();
        make(&key, "demo").unwrap();
        assert!(public_key(&key).unwrap().starts_with("ssh-ed25519 AAAA"));
    }
}
