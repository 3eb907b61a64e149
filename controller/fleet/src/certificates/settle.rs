//! Doing what is due, over the live channel, in an order in which every step may be the last.

use berth_controller_client::Agent;
use berth_controller_pki::{Authority, CertificateFacts, ServerIdentity};
use berth_controller_store::{MachineRecord, write_private};
use berth_proto::v1;
use berth_provisioners_api::Machine;
use time::OffsetDateTime;
use tonic::Status;

use super::due::{Book, Due, ServerDue};
use super::files::{require, settle};
use super::machine::{bundle, copy_client, has_all, is_of_others};
use super::{CertificatesError, CredentialsError};
use crate::list::failed_call;
use crate::{Fleet, MachineError, Progress};

/// A machine whose certificates are being settled, under its lock.
pub(super) struct Settling<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) record: MachineRecord,
    pub(super) machine: &'a dyn Machine,
    pub(super) progress: &'a dyn Progress,
}

impl Settling<'_> {
    /// Does what is due over `agent`; `again` connects anew, with the certificates that are there
    /// by then. Returns the agent to go on with.
    pub(super) async fn settle(
        &mut self,
        due: &Due,
        agent: Agent,
        over_ssh: bool,
    ) -> Result<Agent, CertificatesError> {
        let fleet = self.fleet;
        let authority = super::authority(&fleet.store)?;
        let paths = fleet.store.machine(&self.record.name);
        if due.introduce {
            self.introduce(&agent, &authority).await?;
        }
        if due.bundle {
            self.copy_authorities(due)?;
        }
        let is_ours = !is_of_others(&fleet.store, &self.record)?;
        if let Some(why) = due.server.filter(|_why| is_ours) {
            self.progress.notice(self.record.name.as_str(), why.text());
            self.renew(&agent, &authority, why).await?;
        }
        let new_client = due.client_copy && copy_client(&fleet.store, &paths)?;
        let mut agent = agent;
        let takes_away = !due.remove.is_empty() || !due.revoke.is_empty();
        if new_client && takes_away && !over_ssh {
            // What we came with may be what is to be turned away.
            agent = fleet
                .connect_agent(&self.record, self.machine, self.progress)
                .await?;
        }
        if takes_away {
            self.take_away(&agent, due).await?;
        }
        Ok(agent)
    }

    /// Makes the agent trust the authority that signs now.
    async fn introduce(
        &mut self,
        agent: &Agent,
        authority: &Authority,
    ) -> Result<(), CertificatesError> {
        let request = v1::InstallCertificatesRequest {
            add_authorities_pem: vec![authority.certificate_pem().to_owned()],
            ..Default::default()
        };
        self.install(agent, request).await?;
        // From now on the machine's certificate may be of either.
        let own = require(&self.fleet.store.certs().ca)?;
        let before = require(&self.fleet.store.machine(&self.record.name).ca)?;
        let both = bundle(&format!("{own}{before}"), &self.record.side.trusted)?;
        settle(&self.fleet.store.machine(&self.record.name).ca, &both)?;
        Ok(())
    }

    /// Writes the machine's copy of the authorities; those that are to be removed stay until they
    /// are.
    fn copy_authorities(&self, due: &Due) -> Result<(), CertificatesError> {
        let path = self.fleet.store.machine(&self.record.name).ca;
        let own = require(&self.fleet.store.certs().ca)?;
        let before =
            CertificateFacts::parse_all(&require(&path)?).map_err(CredentialsError::from)?;
        let staying = before
            .iter()
            .filter(|facts| due.remove.contains(&facts.fingerprint()));
        let staying: String = staying.map(CertificateFacts::pem).collect();
        let text = bundle(&format!("{own}{staying}"), &self.record.side.trusted)?;
        settle(&path, &text)?;
        Ok(())
    }

    /// Gives the agent a certificate for a key that it makes itself.
    async fn renew(
        &mut self,
        agent: &Agent,
        authority: &Authority,
        why: ServerDue,
    ) -> Result<(), CertificatesError> {
        let paths = self.fleet.store.machine(&self.record.name);
        let identity = self.identity().await?;
        if why != ServerDue::Asked && self.adopt_newer(agent, authority, &identity).await? {
            return Ok(());
        }
        let asked = agent
            .security()
            .request_certificate(v1::RequestCertificateRequest {})
            .await
            .map_err(|status| self.refused(agent, &status))?;
        let request = asked.into_inner().request_pem;
        let certificate = authority
            .sign_server(&request, &identity, OffsetDateTime::now_utc())
            .map_err(CredentialsError::from)?;
        let install = v1::InstallCertificatesRequest {
            server_certificate_pem: certificate.clone(),
            ..Default::default()
        };
        self.install(agent, install).await?;
        write_private(&paths.server, certificate.as_bytes()).map_err(CredentialsError::from)?;
        // The key is the agent's own now, and the former one is nobody's.
        match std::fs::remove_file(&paths.server_key) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::debug!(%error, "former key of a machine not removed");
            }
            _ => {}
        }
        self.record.side.certificate_names = identity.names;
        self.save()
    }

    /// Takes over the certificate that the agent shows, when it is better than the one on record:
    /// a former renewal was cut off before it was written down.
    async fn adopt_newer(
        &mut self,
        agent: &Agent,
        authority: &Authority,
        identity: &ServerIdentity,
    ) -> Result<bool, CertificatesError> {
        let described = agent
            .security()
            .describe_trust(v1::DescribeTrustRequest {})
            .await
            .map_err(|status| self.refused(agent, &status))?;
        let shown = described.into_inner().server_certificate_pem;
        let issuer = CertificateFacts::parse(authority.certificate_pem());
        let issuer = issuer.map_err(CredentialsError::from)?;
        let good = CertificateFacts::parse(&shown).is_ok_and(|facts| {
            facts.is_signed_by(&issuer)
                && !facts.validity().is_ending(OffsetDateTime::now_utc())
                && has_all(&facts, identity)
        });
        if good {
            let path = self.fleet.store.machine(&self.record.name).server;
            settle(&path, &shown)?;
            self.record
                .side
                .certificate_names
                .clone_from(&identity.names);
            self.save()?;
        }
        Ok(good)
    }

    /// Takes authorities and revoked certificates away, once nothing of ours depends on them.
    async fn take_away(&mut self, agent: &Agent, due: &Due) -> Result<(), CertificatesError> {
        if !due.revoke.is_empty() {
            let certificates = due.revoke.iter().map(|revoked| v1::RevokedCertificate {
                fingerprint: revoked.fingerprint.clone(),
                name: revoked.name.clone(),
                revoked_at: revoked.at,
            });
            let request = v1::RevokeRequest {
                certificates: certificates.collect(),
            };
            let told = agent.security().revoke(request).await;
            told.map_err(|status| self.refused(agent, &status))?;
            for revoked in &due.revoke {
                self.record.side.revoked.push(revoked.fingerprint.clone());
            }
            self.save()?;
        }
        if !due.remove.is_empty() {
            let request = v1::InstallCertificatesRequest {
                remove_authorities: due.remove.clone(),
                ..Default::default()
            };
            self.install(agent, request).await?;
            let own = require(&self.fleet.store.certs().ca)?;
            let text = bundle(&own, &self.record.side.trusted)?;
            settle(&self.fleet.store.machine(&self.record.name).ca, &text)?;
        }
        Ok(())
    }

    /// Installs something, and notes which authorities the agent trusts then.
    async fn install(
        &mut self,
        agent: &Agent,
        request: v1::InstallCertificatesRequest,
    ) -> Result<(), CertificatesError> {
        let answer = agent.security().install_certificates(request).await;
        let answer = answer.map_err(|status| self.refused(agent, &status))?;
        let trusted = CertificateFacts::parse_all(&answer.into_inner().authorities_pem.concat())
            .map_err(CredentialsError::from)?;
        self.record.side.authorities = trusted.iter().map(CertificateFacts::fingerprint).collect();
        self.save()
    }

    /// Returns the names that the machine's certificate must have now.
    async fn identity(&self) -> Result<ServerIdentity, CertificatesError> {
        let address = match self.record.config.ip_address() {
            Some(address) => address.to_owned(),
            None => self.machine.ip().await.map_err(MachineError::from)?,
        };
        let names = std::iter::once(address).chain(self.record.config.certificate_names());
        Ok(ServerIdentity {
            stable_name: self.record.side.stable_name.clone().unwrap_or_default(),
            names: names.filter(|name| !name.is_empty()).collect(),
        })
    }

    fn save(&self) -> Result<(), CertificatesError> {
        self.fleet
            .store
            .save_side(&self.record)
            .map_err(|error| CredentialsError::from(error).into())
    }

    fn refused(&self, agent: &Agent, status: &Status) -> CertificatesError {
        let machine = self.record.name.to_string();
        if status.code() == tonic::Code::Unimplemented {
            return CertificatesError::OldAgent { machine };
        }
        CertificatesError::Refused {
            machine,
            why: failed_call(agent, status),
        }
    }
}

/// Renews what every machine depends on before one is contacted: the operator's own client
/// certificate. Returns the book as it is then.
pub(super) fn own_client(fleet: &Fleet, book: Book, due: &Due) -> Result<Book, CredentialsError> {
    if !due.own_client {
        return Ok(book);
    }
    super::authority(&fleet.store)?;
    Ok(Book::load(&fleet.store).unwrap_or(book))
}
