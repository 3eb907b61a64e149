//! Whom the agent of a host that was taken over trusts, and how it is known itself.

use std::fs;
use std::path::Path;

use berth_controller_pki::{Authority, CertificateFacts, Issued, ServerIdentity, stable_name};
use berth_controller_store::{MachineName, Staging, Store};
use time::OffsetDateTime;

use super::look::Found;
use super::{AdoptError, AdoptRequest};
use crate::CredentialsError;
use crate::host::with_input;

/// Replaces files whole, adds an authority once, and has the agent read them.
const TOOLS: &str = r#"
    set -eu
    umask 077
    cd /etc/berth
    # Two operators at once must not lose one of them.
    exec 9>/run/berth/.adopt.lock
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    replace() { cat >"$1.adopt"; chmod 0600 "$1.adopt"; mv -f "$1.adopt" "$1"; }
    trust() { { cat ca.pem; echo; cat; } | sed '/^$/d' | replace ca.pem; }
    reload() {
        pid=$(cat /run/berth/berthd.pid)
        case $(readlink "/proc/$pid/exe") in
            */berthd*) kill -HUP "$pid" ;;
            *) echo "process $pid is not the agent" >&2; exit 70 ;;
        esac
    }
"#;

/// What is changed on the host, and what the machine needs here.
pub(super) struct Trust {
    /// This operator's authorities.
    own: String,
    /// The authorities of others that the agent trusts, PEM.
    pub(super) others: Vec<String>,
    /// Whether the agent knows this operator already.
    known: bool,
    /// A certificate for the agent, when it is to be this operator's alone.
    issued: Option<Issued>,
    /// The name in the agent's certificate; nothing when it is known by its address only.
    pub(super) stable_name: Option<String>,
}

impl Trust {
    pub(super) fn new(
        name: &MachineName,
        (authority, store): (&Authority, &Store),
        found: &Found,
        request: &AdoptRequest,
    ) -> Result<Self, AdoptError> {
        let unusable = |_error| AdoptError::Certificates {
            host: request.host.clone(),
            what: "an authority",
        };
        let bundle = read(&store.certs().ca)?;
        let own: Vec<CertificateFacts> = CertificateFacts::parse_all(&bundle).map_err(unusable)?;
        let is_own = |facts: &CertificateFacts| {
            own.iter()
                .any(|own| own.fingerprint() == facts.fingerprint())
        };
        let known = own.iter().all(|own| {
            let print = own.fingerprint();
            found
                .authorities
                .iter()
                .any(|facts| facts.fingerprint() == print)
        });
        let others = found.authorities.iter().filter(|facts| !is_own(facts));
        let mut trust = Self {
            own: bundle,
            others: others.map(CertificateFacts::pem).collect(),
            known,
            issued: None,
            stable_name: stable(&found.certificate),
        };
        if request.exclusive {
            trust.others.clear();
            let identity = ServerIdentity {
                stable_name: trust
                    .stable_name
                    .get_or_insert_with(|| stable_name(name.as_str()))
                    .clone(),
                names: names(found, &request.host),
            };
            trust.issued = Some(authority.issue_server(&identity, OffsetDateTime::now_utc())?);
        }
        Ok(trust)
    }

    /// Returns what has to be run on the host; nothing changes when it was run before.
    pub(super) fn script(&self) -> String {
        let mut script = TOOLS.to_owned();
        if let Some(issued) = &self.issued {
            script.push_str(&with_input("replace server-key.pem", &issued.key_pem));
            script.push_str(&with_input("replace server.pem", &issued.certificate_pem));
            script.push_str(&with_input("replace ca.pem", &self.own));
        } else if !self.known {
            script.push_str(&with_input("trust", &self.own));
        }
        script.push_str("reload\n");
        script
    }

    /// Writes the machine's certificates: who the agent may be signed by, and who we are.
    pub(super) fn write(&self, store: &Store, staged: &Staging) -> Result<(), AdoptError> {
        let certs = store.certs();
        staged.put("ca.pem", self.roots().as_bytes())?;
        staged.put("cert.pem", read(&certs.cert)?.as_bytes())?;
        staged.put("key.pem", read(&certs.key)?.as_bytes())?;
        if let Some(issued) = &self.issued {
            staged.put("server.pem", issued.certificate_pem.as_bytes())?;
            staged.put("server-key.pem", issued.key_pem.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the authorities that the agent trusts now, by their fingerprints.
    pub(super) fn fingerprints(&self) -> Vec<String> {
        let all = CertificateFacts::parse_all(&self.roots()).unwrap_or_default();
        all.iter().map(CertificateFacts::fingerprint).collect()
    }

    fn roots(&self) -> String {
        let all = [&self.own].into_iter().chain(&self.others);
        all.map(|pem| format!("{}\n", pem.trim_end())).collect()
    }
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    fs::read_to_string(path).map_err(|source| CredentialsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Returns the name in a certificate that never changes.
fn stable(certificate: &CertificateFacts) -> Option<String> {
    let names = certificate.names().iter();
    names
        .into_iter()
        .find(|name| name.ends_with(".berth"))
        .cloned()
}

/// Returns the names that the agent is known by, and the one by which it was taken over.
fn names(found: &Found, host: &str) -> Vec<String> {
    let fixed = ["localhost", "127.0.0.1"];
    let mut names = vec![host.to_owned()];
    for name in found.certificate.names() {
        if !fixed.contains(&name.as_str()) && !name.ends_with(".berth") && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
