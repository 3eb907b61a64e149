//! Who calls.

use std::fmt;

use berth_agent_trust::{Caller, Fingerprint};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The organisational unit in the subject of a certificate whose holder may only look.
pub const READ_ONLY_UNIT: &str = "read-only";

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Operator,
    /// Look, but change nothing.
    Reader,
}

/// A caller, for as long as its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    who: Who,
    role: Role,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// A caller without anything to tell who it is.
    Nobody,
    /// A user of this machine.
    User(u32),
    /// The holder of a certificate.
    Certificate {
        name: String,
        fingerprint: Fingerprint,
    },
}

impl Identity {
    /// Returns the identity of a user of this machine, who has come over the unix socket.
    #[must_use]
    pub fn local(uid: u32) -> Self {
        Self {
            who: Who::User(uid),
            role: Role::Operator,
        }
    }

    /// Returns the identity of a caller; `uid` is that of the other end of a unix socket.
    #[must_use]
    pub fn of(caller: &Caller, uid: u32) -> Self {
        let Caller::Remote(chain) = caller else {
            return Self::local(uid);
        };
        // A handshake without a certificate is refused long before.
        let Some(leaf) = chain.first() else {
            return Self {
                who: Who::Nobody,
                role: Role::Reader,
            };
        };
        let fingerprint = Fingerprint::of(leaf);
        let (name, role) = match X509Certificate::from_der(leaf) {
            Ok((_, certificate)) => (name_of(&certificate), role(&certificate)),
            // Who cannot be read may do the least.
            Err(_unreadable) => (String::new(), Role::Reader),
        };
        Self {
            who: Who::Certificate { name, fingerprint },
            role,
        }
    }

    /// Returns what the caller may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the caller for the audit log.
    pub(crate) fn json(&self) -> Value {
        match &self.who {
            Who::Nobody => json!({}),
            Who::User(uid) => json!({ "uid": uid }),
            Who::Certificate { name, fingerprint } => {
                json!({ "certificate": name, "fingerprint": fingerprint.to_string() })
            }
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Nobody => f.write_str("nobody"),
            Who::User(uid) => write!(f, "user {uid}"),
            Who::Certificate { name, fingerprint } if name.is_empty() => {
                write!(f, "certificate {fingerprint}")
            }
            Who::Certificate { name, .. } => write!(f, "certificate {name:?}"),
        }
    }
}

/// Returns what a certificate calls its holder: berth's own have that in the organisation.
fn name_of(certificate: &X509Certificate<'_>) -> String {
    let subject = certificate.subject();
    let mut names = subject
        .iter_common_name()
        .chain(subject.iter_organization());
    let name = names.next().and_then(|name| name.as_str().ok());
    name.unwrap_or_default().to_owned()
}

fn role(certificate: &X509Certificate<'_>) -> Role {
    let mut units = certificate.subject().iter_organizational_unit();
    // As names are compared (RFC 4518): without regard to case and to space around. What is written in an
    // alphabet that is not read here might be the same, and who cannot be read may do the least.
    let is_reader = |text: &str| text.trim().eq_ignore_ascii_case(READ_ONLY_UNIT);
    if units.any(|unit| unit.as_str().map_or(true, is_reader)) {
        Role::Reader
    } else {
        Role::Operator
    }
}

#[cfg(test)]
mod tests {
    use rcgen::string::{BmpString, PrintableString, TeletexString, UniversalString};
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::*;

    fn caller(unit: Option<impl Into<DnValue>>) -> Caller {
        let mut parameters = CertificateParams::default();
        let subject = &mut parameters.distinguished_name;
        subject.push(DnType::CommonName, "ann");
        if let Some(unit) = unit {
            subject.push(DnType::OrganizationalUnitName, unit);
        }
        let key = KeyPair::generate().expect("key");
        let certificate = parameters.self_signed(&key).expect("certificate");
        Caller::Remote(vec![certificate.der().clone()])
    }

    #[test]
    fn the_unit_of_a_certificate_decides_what_its_holder_may_do() {
        for (unit, role) in [
            (None, Role::Operator),
            (Some("read-only"), Role::Reader),
            (Some(" Read-Only "), Role::Reader),
            (Some("read-only-not"), Role::Operator),
        ] {
            let identity = Identity::of(&caller(unit), 0);
            assert_eq!(identity.role(), role, "{unit:?}");
            assert_eq!(identity.json()["certificate"], "ann");
        }
        assert_eq!(Identity::of(&Caller::Local, 7), Identity::local(7));
    }

    #[test]
    fn a_unit_in_another_alphabet_does_not_make_an_operator() {
        let text = "read-only";
        for unit in [
            DnValue::PrintableString(PrintableString::try_from(text).expect("text")),
            DnValue::BmpString(BmpString::try_from(text).expect("text")),
            DnValue::TeletexString(TeletexString::try_from(text).expect("text")),
            DnValue::UniversalString(UniversalString::try_from(text).expect("text")),
        ] {
            let identity = Identity::of(&caller(Some(unit.clone())), 0);
            assert_eq!(identity.role(), Role::Reader, "{unit:?}");
        }
    }

    #[test]
    fn who_cannot_be_read_may_only_look() {
        let garbled = Caller::Remote(vec![vec![1, 2, 3].into()]);
        assert_eq!(Identity::of(&garbled, 0).role(), Role::Reader);
    }
}
