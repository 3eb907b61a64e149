//! `SecurityService`.

use std::sync::Arc;

use berth_agent_engine::ErrorClass;
use berth_agent_trust::{
    Caller, Change, Description, Fingerprint, InstallError, RevokeError, Trust, TrustError,
};
use berth_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use crate::status;

/// Certificates, authorities and revocations, when the agent serves TLS at all.
pub(crate) struct Security {
    trust: Option<Arc<Trust>>,
}

impl Security {
    pub(crate) fn new(trust: Option<Arc<Trust>>) -> Self {
        Self { trust }
    }

    fn trust(&self) -> Result<&Arc<Trust>, Status> {
        self.trust.as_ref().ok_or_else(|| {
            let text = "this agent serves only its unix socket and has no certificates".to_owned();
            status::build(ErrorClass::Conflict, "no-tls", text, None)
        })
    }

    /// Does what touches files on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Trust) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let trust = Arc::clone(self.trust()?);
        let done = tokio::task::spawn_blocking(move || work(&trust)).await;
        done.unwrap_or_else(|error| {
            let text = format!("changing certificates was cut off: {error}");
            Err(status::build(ErrorClass::Internal, "internal", text, None))
        })
    }
}

#[async_trait]
impl v1::security_service_server::SecurityService for Security {
    async fn describe_trust(
        &self,
        request: Request<v1::DescribeTrustRequest>,
    ) -> Result<Response<v1::DescribeTrustResponse>, Status> {
        let caller = caller(&request);
        Ok(Response::new(described(&self.trust()?.describe(), &caller)))
    }

    async fn request_certificate(
        &self,
        _request: Request<v1::RequestCertificateRequest>,
    ) -> Result<Response<v1::RequestCertificateResponse>, Status> {
        let request_pem = self
            .blocking(|trust| trust.request().map_err(|error| unusable(&error)))
            .await?;
        Ok(Response::new(v1::RequestCertificateResponse {
            request_pem,
        }))
    }

    async fn install_certificates(
        &self,
        request: Request<v1::InstallCertificatesRequest>,
    ) -> Result<Response<v1::DescribeTrustResponse>, Status> {
        let caller = caller(&request);
        let request = request.into_inner();
        let change = Change {
            certificate_pem: request.server_certificate_pem,
            add_authorities_pem: request.add_authorities_pem,
            remove_authorities: fingerprints(&request.remove_authorities)?,
        };
        let description = self
            .blocking(move |trust| {
                trust
                    .install(&change, &caller)
                    .map_err(|error| refused(&error))?;
                Ok(described(&trust.describe(), &caller))
            })
            .await?;
        Ok(Response::new(description))
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        let caller = caller(&request);
        let certificates = request.into_inner().certificates;
        let names = certificates.iter().map(|entry| entry.name.clone());
        let prints: Vec<String> = certificates
            .iter()
            .map(|entry| entry.fingerprint.clone())
            .collect();
        let list: Vec<_> = fingerprints(&prints)?.into_iter().zip(names).collect();
        let ended = self
            .blocking(move |trust| {
                let revoked = trust.revoke(&list, &caller);
                revoked.map_err(|error| match &error {
                    RevokeError::Own(_) => {
                        let text = error.to_string();
                        status::build(ErrorClass::Conflict, "locks-out", text, None)
                    }
                    _ => internal(&error),
                })
            })
            .await?;
        Ok(Response::new(v1::RevokeResponse {
            ended_connections: u32::try_from(ended).unwrap_or(u32::MAX),
        }))
    }

    async fn reload_trust(
        &self,
        request: Request<v1::ReloadTrustRequest>,
    ) -> Result<Response<v1::DescribeTrustResponse>, Status> {
        let caller = caller(&request);
        let description = self
            .blocking(move |trust| {
                trust.reload().map_err(|error| unusable(&error))?;
                Ok(described(&trust.describe(), &caller))
            })
            .await?;
        Ok(Response::new(description))
    }
}

/// Returns who calls, as the listener has found out.
fn caller<T>(request: &Request<T>) -> Caller {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .unwrap_or(Caller::Local)
}

fn described(description: &Description, caller: &Caller) -> v1::DescribeTrustResponse {
    let revoked = description.revoked.iter();
    let revoked = revoked.map(|entry| v1::RevokedCertificate {
        fingerprint: entry.fingerprint.to_string(),
        name: entry.name.clone(),
        revoked_at: i64::try_from(entry.revoked_at).unwrap_or(i64::MAX),
    });
    let own = caller.fingerprint();
    v1::DescribeTrustResponse {
        server_certificate_pem: description.certificate_pem.clone(),
        authorities_pem: description.authorities_pem.clone(),
        revoked: revoked.collect(),
        caller_fingerprint: own.map(|own| own.to_string()).unwrap_or_default(),
    }
}

fn fingerprints(texts: &[String]) -> Result<Vec<Fingerprint>, Status> {
    let parsed = texts.iter().map(|text| text.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error: <Fingerprint as std::str::FromStr>::Err| {
            status::invalid(error.to_string())
        })
}

fn refused(error: &InstallError) -> Status {
    let (class, reason) = match error {
        InstallError::File(_) => return internal(error),
        InstallError::LocksOut(_) => (ErrorClass::Conflict, "locks-out"),
        InstallError::OtherKey => (ErrorClass::Conflict, "other-key"),
        InstallError::Present(_) => (ErrorClass::Conflict, "certificates-unusable"),
        _ => (ErrorClass::InvalidArgument, "certificate-refused"),
    };
    status::build(class, reason, chain(error), None)
}

fn unusable(error: &TrustError) -> Status {
    match error {
        TrustError::Material { .. } => {
            let text = chain(error);
            status::build(ErrorClass::Conflict, "certificate-refused", text, None)
        }
        _ => internal(error),
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Status {
    status::build(ErrorClass::Internal, "internal", chain(error), None)
}

/// Returns an error with its causes: a caller far away sees no log.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
