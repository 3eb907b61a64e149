//! The operator's SSH agent: which keys it has, and signing with them.

use std::path::PathBuf;
use std::time::Duration;

use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};
use russh::{AgentAuthError, Signer};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::AgentChoice;
use crate::verify::Verifier;

/// How long an agent may take to say which keys it has. Signing may take longer: some ask a person.
const PATIENCE: Duration = Duration::from_secs(5);

/// An agent that answered, and its keys.
pub(crate) struct Agent {
    client: AgentClient<UnixStream>,
    pub(crate) identities: Vec<AgentIdentity>,
}

/// Returns the agent's socket, if there is to be one.
pub(crate) fn socket(choice: &AgentChoice) -> Option<PathBuf> {
    match choice {
        AgentChoice::None => None,
        AgentChoice::Socket(path) => Some(path.clone()),
        AgentChoice::Environment => std::env::var_os("SSH_AUTH_SOCK")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from),
    }
}

impl Agent {
    /// Connects to the chosen agent; one that does not answer is none.
    pub(crate) async fn connect(choice: &AgentChoice, handle: &Handle<Verifier>) -> Option<Self> {
        let path = socket(choice)?;
        let connecting = async {
            let mut client = AgentClient::connect_uds(path).await.ok()?;
            if let Some(binding) = handle.agent_session_binding() {
                // Keys that are only for some hosts are shown after this; old agents refuse it.
                let _ = client.bind_session(binding, false).await;
            }
            let identities = client.request_identities().await.ok()?;
            Some(Self { client, identities })
        };
        timeout(PATIENCE, connecting).await.ok().flatten()
    }

    /// Returns the bare key with this public half, if the agent holds it.
    pub(crate) fn key(&self, public: &KeyData) -> Option<PublicKey> {
        let mut keys = self
            .identities
            .iter()
            .filter_map(|identity| match identity {
                AgentIdentity::PublicKey { key, .. } => Some(key),
                AgentIdentity::Certificate { .. } => None,
            });
        keys.find(|key| key.key_data() == public).cloned()
    }

    /// Returns a signer that signs with `identity`, whatever is offered to the host: a certificate
    /// from a file is signed for with the bare key.
    pub(crate) fn signer(&mut self, identity: AgentIdentity) -> AgentSigner<'_> {
        AgentSigner {
            client: &mut self.client,
            identity,
        }
    }
}

/// Signs with one key of an agent.
pub(crate) struct AgentSigner<'a> {
    client: &'a mut AgentClient<UnixStream>,
    identity: AgentIdentity,
}

impl Signer for AgentSigner<'_> {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _offered: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signed = self.client.sign_request(&self.identity, hash, data).await;
        signed.map_err(AgentAuthError::Key)
    }
}
