//! Who the host is: its key against the pinned one, or against the files of known hosts; and what
//! it may open towards us.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, ChannelOpenHandle, Msg, Session as Protocol};
use russh::keys::{Algorithm, HashAlg, PublicKeyOrCertificate};
use russh::{Channel, Preferred};

use crate::forward::Incoming;
use crate::known_hosts::{self, Known, Verdict};
use crate::{ConnectError, Endpoint, HostKey, Strict, ask};

/// What to do about the host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeyPolicy {
    /// Only this key will do.
    Pinned(HostKey),
    /// Take the key that comes; the caller writes it down.
    Learn,
    /// What the operator's files of known hosts say, and what their configuration says about hosts
    /// that are not in them.
    KnownHosts,
    /// Like [`Self::KnownHosts`], but a host that nobody knows is learnt: the caller writes it down.
    KnownHostsOrLearn,
}

/// Decides about the host's key, and keeps what the host has shown.
pub(crate) struct Verifier {
    policy: HostKeyPolicy,
    endpoint: Endpoint,
    known: Known,
    outcome: Arc<Mutex<Outcome>>,
    pub(crate) incoming: Arc<Incoming>,
}

/// What has been decided.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) presented: Option<HostKey>,
    pub(crate) refusal: Option<ConnectError>,
}

/// Reads the decision, also while the connection lives.
pub(crate) type Decision = Arc<Mutex<Outcome>>;

impl Verifier {
    pub(crate) fn new(endpoint: &Endpoint, policy: &HostKeyPolicy) -> Result<Self, ConnectError> {
        let known = match policy {
            HostKeyPolicy::Pinned(_) | HostKeyPolicy::Learn => Known::default(),
            HostKeyPolicy::KnownHosts | HostKeyPolicy::KnownHostsOrLearn => Known::read(
                &endpoint.config.known_hosts,
                endpoint.key_name(),
                endpoint.port,
            )
            .map_err(ConnectError::KnownHosts)?,
        };
        Ok(Self {
            policy: policy.clone(),
            endpoint: endpoint.clone(),
            known,
            outcome: Arc::default(),
            incoming: Arc::default(),
        })
    }

    pub(crate) fn decision(&self) -> Decision {
        Arc::clone(&self.outcome)
    }

    /// Returns the kinds of key to ask for: those that are known first, since a host with several
    /// keys shows the first kind that we name.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let mut expected: Vec<Algorithm> = self
            .known
            .keys
            .iter()
            .map(|(key, _)| key.algorithm())
            .collect();
        if let HostKeyPolicy::Pinned(key) = &self.policy {
            expected.push(key.algorithm());
        }
        algorithms(&expected)
    }

    /// Returns the kinds of key for which a certificate will do: none without an authority.
    pub(crate) fn certificate_algorithms(&self) -> Vec<Algorithm> {
        if self.known.has_authority() {
            algorithms(&[])
        } else {
            Vec::new()
        }
    }

    async fn judge(&self, key: &HostKey) -> Result<(), ConnectError> {
        let address = self.endpoint.address();
        if let HostKeyPolicy::Pinned(expected) = &self.policy {
            if expected == key {
                return Ok(());
            }
            return Err(ConnectError::HostKeyChanged {
                address,
                expected: Box::new(expected.clone()),
                presented: Box::new(key.clone()),
            });
        }
        if self.policy == HostKeyPolicy::Learn {
            return Ok(());
        }
        match self.known.judge(key) {
            Verdict::Known => Ok(()),
            Verdict::Void => Err(ConnectError::Revoked {
                address,
                presented: Box::new(key.clone()),
            }),
            Verdict::Changed(expected, place) => Err(ConnectError::KnownHostChanged {
                address,
                expected: Box::new(expected),
                presented: Box::new(key.clone()),
                name: known_hosts::written(self.endpoint.key_name(), self.endpoint.port),
                path: place.path,
                line: place.line,
            }),
            Verdict::Unknown => self.meet(key, address).await,
        }
    }

    /// Decides about a host that nobody knows.
    async fn meet(&self, key: &HostKey, address: String) -> Result<(), ConnectError> {
        let config = &self.endpoint.config;
        let learns = self.policy == HostKeyPolicy::KnownHostsOrLearn;
        let unknown = || ConnectError::UnknownHost {
            address: address.clone(),
            presented: Box::new(key.clone()),
        };
        match config.strict {
            Strict::Yes => return Err(unknown()),
            // The caller writes it down, in a better place.
            _ if learns => return Ok(()),
            Strict::AcceptNew => {}
            Strict::Ask if config.batch => return Err(unknown()),
            Strict::Ask => {
                let question = format!(
                    "The host {address} is not known. Its key's fingerprint is {key}.\r\n\
                     Connect to it and remember the key (yes/no)? "
                );
                if ask::affirmed(question).await != Some(true) {
                    return Err(unknown());
                }
            }
        }
        let name = self.endpoint.key_name();
        known_hosts::learn(config, name, self.endpoint.port, key).map_err(ConnectError::KnownHosts)
    }

    async fn decide(&self, key: &PublicKeyOrCertificate) -> Result<(), ConnectError> {
        let PublicKeyOrCertificate::Certificate(certificate) = key else {
            return self.judge(&HostKey::new(&key.public_key())).await;
        };
        // Only asked for where an authority is trusted.
        match self.known.distrust(certificate, self.endpoint.key_name()) {
            None => Ok(()),
            Some(reason) => Err(ConnectError::HostCertificate {
                address: self.endpoint.address(),
                reason,
            }),
        }
    }
}

impl client::Handler for Verifier {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let decided = self.decide(key).await;
        let good = decided.is_ok();
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.presented = Some(HostKey::new(&key.public_key()));
        outcome.refusal = decided.err();
        Ok(good)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Protocol,
    ) -> Result<(), Self::Error> {
        self.incoming.tcp(channel, address, port, reply);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Protocol,
    ) -> Result<(), Self::Error> {
        self.incoming.agent(channel, reply);
        Ok(())
    }

    // All that nobody asked for is refused: a handle that is dropped says so to the host.
    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Protocol,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Protocol,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Protocol,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Protocol,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Protocol,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn algorithms(expected: &[Algorithm]) -> Vec<Algorithm> {
    let weak = Algorithm::Rsa { hash: None };
    let mut algorithms: Vec<Algorithm> = Preferred::DEFAULT
        .key
        .iter()
        .filter(|a| **a != weak)
        .cloned()
        .collect();
    let rank = |algorithm: &Algorithm| {
        let same = |known: &Algorithm| {
            known == algorithm || (known.clone().is_rsa() && algorithm.clone().is_rsa())
        };
        let strongest = Algorithm::Rsa {
            hash: Some(HashAlg::Sha512),
        };
        (
            !expected.iter().any(same),
            algorithm.clone().is_rsa() && *algorithm != strongest,
        )
    };
    if !expected.is_empty() {
        algorithms.sort_by_key(rank);
    }
    algorithms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_kinds_of_key_are_asked_for_first() {
        for text in [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo\
             2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=",
        ] {
            let kind = HostKey::parse(text).unwrap().algorithm();
            assert_eq!(algorithms(std::slice::from_ref(&kind))[0], kind);
        }
        let rsa = algorithms(&[Algorithm::Rsa { hash: None }]);
        let hash = Some(HashAlg::Sha512);
        assert_eq!(rsa[0], Algorithm::Rsa { hash });
        assert!(!rsa.contains(&Algorithm::Rsa { hash: None }));
    }
}
