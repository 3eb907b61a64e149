//! Files of known hosts: whose key is whose, which authorities sign for whom, which keys are void.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use russh::keys::{Certificate, HashAlg, PublicKey};
use sha1::Sha1;

use crate::config::matches_list;
use crate::{HostConfig, HostKey};

const DEFAULT_PORT: u16 = 22;

/// All that is written down about one host.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    pub(crate) keys: Vec<(HostKey, Place)>,
    authorities: Vec<PublicKey>,
    void: Vec<PublicKey>,
}

/// Where a key is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
}

/// What the files say of a key that a host has shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Known,
    /// Nobody has written anything down about the host.
    Unknown,
    /// Another key of the host is written down.
    Changed(HostKey, Place),
    Void,
}

impl Known {
    /// Reads what the files say about the host called `name` at `port`; files that are not there say
    /// nothing, nor do lines that make no sense.
    pub(crate) fn read(paths: &[PathBuf], name: &str, port: u16) -> io::Result<Self> {
        let name = written(name, port);
        let mut known = Self::default();
        for path in paths {
            let text = match fs::read(path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for (index, line) in text.lines().enumerate() {
                let place = Place {
                    path: path.clone(),
                    line: index + 1,
                };
                known.take(line.trim(), &name, place);
            }
        }
        Ok(known)
    }

    fn take(&mut self, line: &str, name: &str, place: Place) {
        let (marker, rest) = match line.strip_prefix('@') {
            Some(rest) => match rest.split_once(char::is_whitespace) {
                Some((marker, rest)) => (Some(marker), rest.trim_start()),
                None => return,
            },
            None => (None, line),
        };
        if rest.starts_with('#') {
            return;
        }
        let Some((patterns, key)) = rest.split_once(char::is_whitespace) else {
            return;
        };
        let (true, Ok(key)) = (holds(patterns, name), PublicKey::from_openssh(key.trim())) else {
            return;
        };
        match marker {
            None => self.keys.push((HostKey::new(&key), place)),
            Some("cert-authority") => self.authorities.push(key),
            Some("revoked") => self.void.push(key),
            Some(_) => {}
        }
    }

    /// Returns whether some authority signs for the host.
    pub(crate) fn has_authority(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// Judges a bare key.
    pub(crate) fn judge(&self, key: &HostKey) -> Verdict {
        if self.void.iter().any(|void| HostKey::new(void) == *key) {
            return Verdict::Void;
        }
        if self.keys.iter().any(|(known, _)| known == key) {
            return Verdict::Known;
        }
        match self.keys.first() {
            Some((known, place)) => Verdict::Changed(known.clone(), place.clone()),
            None => Verdict::Unknown,
        }
    }

    /// Returns why a certificate does not prove that the host is `name`; nothing when it does.
    pub(crate) fn distrust(&self, certificate: &Certificate, name: &str) -> Option<&'static str> {
        let is_void = |data| self.void.iter().any(|void| void.key_data() == data);
        if is_void(certificate.public_key()) || is_void(certificate.signature_key()) {
            return Some("it is revoked");
        }
        if !certificate.cert_type().is_host() {
            return Some("it is not for a host");
        }
        if !certificate.critical_options().is_empty() {
            return Some("it has critical options, and there are none for hosts");
        }
        let names = certificate.valid_principals();
        let is_named = |pattern: &String| matches_list([pattern.as_str()], name);
        // An empty list is every host for some and none for others: nobody should sign one.
        if !names.iter().any(is_named) {
            return Some("it is for another host");
        }
        let authorities: Vec<_> = self
            .authorities
            .iter()
            .map(|authority| authority.fingerprint(HashAlg::Sha256))
            .collect();
        if certificate.validate(&authorities).is_err() {
            return Some("it has expired, is not valid yet, or was signed by somebody else");
        }
        None
    }
}

/// Writes a host's key down in the first of the operator's files.
pub(crate) fn learn(config: &HostConfig, name: &str, port: u16, key: &HostKey) -> io::Result<()> {
    let Some(path) = config.known_hosts.first() else {
        return Ok(());
    };
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let name = written(name, port);
    let name = if config.hash_names {
        hashed(&name)
    } else {
        name
    };
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let torn = !ends_with_newline(path)?;
    let start = if torn { "\n" } else { "" };
    // One write, so that two processes' lines do not mix.
    file.write_all(format!("{start}{name} {}\n", key.to_openssh()).as_bytes())
}

/// Returns one line for a file of known hosts.
pub(crate) fn line(name: &str, port: u16, key: &HostKey) -> String {
    format!("{} {}\n", written(name, port), key.to_openssh())
}

fn ends_with_newline(path: &Path) -> io::Result<bool> {
    Ok(fs::read(path)?.last().is_none_or(|&last| last == b'\n'))
}

/// Returns a host as the files name it.
pub(crate) fn written(name: &str, port: u16) -> String {
    let name = name.to_lowercase();
    if port == DEFAULT_PORT {
        name
    } else {
        format!("[{name}]:{port}")
    }
}

fn holds(patterns: &str, name: &str) -> bool {
    match patterns.parse() {
        Ok(HostPatterns::Patterns(list)) => {
            let list: Vec<String> = list.iter().map(|p| p.to_lowercase()).collect();
            matches_list(list.iter().map(String::as_str), name)
        }
        Ok(HostPatterns::HashedName { salt, hash }) => mac(&salt, name).as_slice() == hash,
        Err(_) => false,
    }
}

fn hashed(name: &str) -> String {
    use rand::RngCore as _;
    let mut salt = vec![0; 20];
    rand::rng().fill_bytes(&mut salt);
    let hash = mac(&salt, name);
    HostPatterns::HashedName { salt, hash }.to_string()
}

fn mac(salt: &[u8], name: &str) -> [u8; 20] {
    // Any length of key will do for this construction.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else {
        return [0; 20];
    };
    mac.update(name.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBB\
                         Hwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUd\
                         hOig4vkbqAcEc=";

    fn judged(text: &str, name: &str, port: u16) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        fs::write(&path, text).unwrap();
        let known = Known::read(&[path], name, port).unwrap();
        known.judge(&HostKey::parse(KEY).unwrap())
    }

    #[test]
    fn keys_are_found_under_names_ports_patterns_and_hashes() {
        assert_eq!(judged(&format!("a,b {KEY} me\n"), "B", 22), Verdict::Known);
        assert_eq!(judged(&format!("a {KEY}"), "a", 23), Verdict::Unknown);
        assert_eq!(
            judged(&format!("[::1]:23 {KEY}"), "::1", 23),
            Verdict::Known
        );
        assert_eq!(
            judged(&format!("*.x,!b.x {KEY}"), "b.x", 22),
            Verdict::Unknown
        );
        assert_eq!(
            judged(&format!("nonsense\n# a\na {KEY}"), "a", 22),
            Verdict::Known
        );
        assert_eq!(
            judged(&format!("{} {KEY}", hashed("a")), "a", 22),
            Verdict::Known
        );
        assert!(matches!(
            judged(&format!("a {OTHER}"), "a", 22),
            Verdict::Changed(_, _)
        ));
        assert_eq!(
            judged(&format!("a {KEY}\n@revoked * {KEY}"), "a", 22),
            Verdict::Void
        );
    }

    #[test]
    fn what_is_written_down_is_found_by_openssh_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/known_hosts");
        let key = HostKey::parse(KEY).unwrap();
        for (name, port, hash_names) in [("plain", 22, false), ("fd00::1", 2222, true)] {
            let config = HostConfig {
                known_hosts: vec![path.clone()],
                hash_names,
                ..HostConfig::default()
            };
            learn(&config, name, port, &key).unwrap();
            let known = Known::read(&config.known_hosts, name, port).unwrap();
            assert_eq!(known.judge(&key), Verdict::Known);
            let found = Command::new("ssh-keygen")
                .arg("-F")
                .arg(written(name, port))
                .arg("-f")
                .arg(&path)
                .output()
                .unwrap();
            assert!(found.status.success(), "{found:?}");
        }
        assert!(!fs::read_to_string(&path).unwrap().contains("fd00::1"));
    }
}
