//! One conversation with one registry about one repository.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::token::TokenRequest;
use super::{Endpoint, RegistryError};
use crate::Credentials;

/// Registries answer within seconds, also busy ones.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection on which nothing came for so long is taken for dead.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Docker allows ten as well.
const MAX_REDIRECTS: usize = 10;

/// The longest text of an error that is read.
const MAX_ERROR: usize = 64 * 1024;

/// How often a request that met a passing fault is sent.
const ATTEMPTS: u32 = 4;

/// What a session is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Pull,
    Push,
    /// Only to see whether the credentials are good.
    Login,
}

/// A conversation with a registry.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    base: Url,
    endpoint: Endpoint,
    repository: String,
    credentials: Credentials,
    scopes: Vec<String>,
    authorization: Mutex<Option<HeaderValue>>,
}

/// A registry's words about an error.
#[derive(Debug, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
}

#[derive(Debug, Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Session {
    /// Finds out how the registry is reached and shows it the credentials.
    ///
    /// `mount_from` are further repositories to ask for, as sources of layers.
    pub(crate) async fn open(
        endpoint: Endpoint,
        repository: &str,
        credentials: &Credentials,
        purpose: Purpose,
        mount_from: &[String],
    ) -> Result<Self, RegistryError> {
        let mut scopes = match purpose {
            Purpose::Pull => vec![format!("repository:{repository}:pull")],
            Purpose::Push => vec![format!("repository:{repository}:pull,push")],
            Purpose::Login => Vec::new(),
        };
        scopes.extend(
            mount_from
                .iter()
                .map(|other| format!("repository:{other}:pull")),
        );
        let client = client(&endpoint, redirects(endpoint.is_insecure))?;
        let mut failure = None;
        for base in &endpoint.bases {
            let mut session = Self {
                client: client.clone(),
                base: base.clone(),
                endpoint: endpoint.clone(),
                repository: repository.to_owned(),
                credentials: credentials.clone(),
                scopes: scopes.clone(),
                authorization: Mutex::new(None),
            };
            match session.ping().await {
                Ok(()) => return Ok(session),
                // Another scheme may do; the first one's failure says more when none does, except
                // that without TLS there was somebody who would not speak it.
                Err(error @ RegistryError::Unreachable { .. }) => failure = Some(error),
                Err(error @ RegistryError::Interrupted { .. }) if base.scheme() == "https" => {
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| RegistryError::Protocol {
            registry: endpoint.name.clone(),
            detail: "it has no address".to_owned(),
        }))
    }

    pub(crate) fn registry(&self) -> &str {
        &self.endpoint.name
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the address of something in the repository, `blobs/…` or `manifests/…`.
    pub(super) fn address(&self, path: &str) -> Result<Url, RegistryError> {
        let path = format!("v2/{}/{path}", self.repository);
        self.base
            .join(&path)
            .map_err(|error| self.wrong(error.to_string()))
    }

    /// Returns an absolute address that the registry gave, against the one that was asked.
    pub(super) fn follow(&self, asked: &Url, location: &str) -> Result<Url, RegistryError> {
        asked
            .join(location)
            .map_err(|error| self.wrong(error.to_string()))
    }

    /// Sends a request, showing credentials when the registry asks for them. Any status is an
    /// answer.
    pub(super) async fn send(
        &self,
        make: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let response = self.send_once(&make).await?;
        // Whom the registry led to does not get to say where the credentials are shown.
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(response.url()) {
            return Ok(response);
        }
        self.answer(&response).await?;
        self.send_once(&make).await
    }

    /// As [`Session::send`], again after passing faults.
    pub(super) async fn send_patiently(
        &self,
        make: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let mut attempt = 1;
        loop {
            let result = match self.send(&make).await {
                Ok(response) if is_busy(response.status()) => Err(self.refusal(response).await),
                result => result,
            };
            match result {
                Err(error) if error.is_passing() && attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "asking the registry again");
                    pause(attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Turns an answer that is not the wanted one into an error.
    pub(super) async fn refusal(&self, response: Response) -> RegistryError {
        let status = response.status();
        let registry = self.endpoint.name.clone();
        let body = read_limited(&registry, response, MAX_ERROR)
            .await
            .unwrap_or_default();
        let detail = describe(status, &body);
        match status.as_u16() {
            401 | 403 => RegistryError::Unauthorized { registry, detail },
            404 => RegistryError::NotFound { registry, detail },
            status => RegistryError::Refused {
                registry,
                status,
                detail,
            },
        }
    }

    pub(super) fn wrong(&self, detail: impl Into<String>) -> RegistryError {
        RegistryError::Protocol {
            registry: self.endpoint.name.clone(),
            detail: detail.into(),
        }
    }

    pub(super) fn failure(&self, error: reqwest::Error) -> RegistryError {
        RegistryError::from_client(&self.endpoint.name, error)
    }

    async fn ping(&mut self) -> Result<(), RegistryError> {
        let address = self
            .base
            .join("v2/")
            .map_err(|error| self.wrong(error.to_string()))?;
        let mut attempt = 1;
        let response = loop {
            match self
                .send_once(&|client: &Client| client.get(address.clone()))
                .await
            {
                // Without TLS the other end hangs up at once; that is no reason for patience.
                Err(error)
                    if error.is_passing()
                        && attempt < ATTEMPTS
                        && self.endpoint.bases.len() == 1 =>
                {
                    pause(attempt).await;
                    attempt += 1;
                }
                result => break result?,
            }
        };
        match response.status() {
            StatusCode::UNAUTHORIZED if self.is_own(response.url()) => self.answer(&response).await,
            // What else it says about its root is no news about the repository.
            _ => Ok(()),
        }
    }

    /// Asks whether the registry takes what it has been shown.
    pub(crate) async fn verify(&self) -> Result<(), RegistryError> {
        let address = self
            .base
            .join("v2/")
            .map_err(|error| self.wrong(error.to_string()))?;
        let response = self
            .send_once(&|client: &Client| client.get(address.clone()))
            .await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(self.refusal(response).await)
    }

    async fn send_once(
        &self,
        make: &impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let (client, request) = make(&self.client).build_split();
        let mut request = request.map_err(|error| self.failure(error))?;
        let authorization = self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // Uploads go where the registry says, which may be another host, without its credentials.
        if let Some(value) = authorization
            && self.is_own(request.url())
        {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        client
            .execute(request)
            .await
            .map_err(|error| self.failure(error))
    }

    /// Tells whether an address is at the registry itself.
    fn is_own(&self, address: &Url) -> bool {
        address.host() == self.base.host()
            && address.port_or_known_default() == self.base.port_or_known_default()
            && (address.scheme() == self.base.scheme() || address.scheme() == "https")
    }

    /// Gets what the registry wants to see from now on.
    async fn answer(&self, response: &Response) -> Result<(), RegistryError> {
        let headers = response.headers().get_all(WWW_AUTHENTICATE);
        let challenges: Vec<Challenge> = headers
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service } => Some((realm, service)),
            Challenge::Basic => None,
        });
        let value = if let Some((realm, service)) = bearer {
            let token = if self.credentials.registry_token.is_empty() {
                let request = TokenRequest {
                    registry: &self.endpoint.name,
                    realm,
                    service: service.as_deref(),
                    scopes: &self.scopes,
                    credentials: &self.credentials,
                    is_plain_allowed: self.endpoint.is_insecure,
                };
                if self.credentials.identity_token.is_empty() {
                    request.fetch(&self.client).await?
                } else {
                    // This token is sent in the body, which a redirect would carry to a stranger.
                    let client = client(&self.endpoint, Policy::none())?;
                    request.fetch(&client).await?
                }
            } else {
                self.credentials.registry_token.clone()
            };
            format!("Bearer {token}")
        } else if challenges.contains(&Challenge::Basic) {
            let (username, password) = self.credentials.basic().ok_or_else(|| self.denied())?;
            use base64::Engine as _;
            let text = format!("{username}:{password}");
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(text)
            )
        } else {
            return Err(self.denied());
        };
        let mut value = HeaderValue::try_from(value)
            .map_err(|error| self.wrong(format!("its token cannot be sent: {error}")))?;
        value.set_sensitive(true);
        *self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }

    fn denied(&self) -> RegistryError {
        RegistryError::Unauthorized {
            registry: self.endpoint.name.clone(),
            detail: "authentication required".to_owned(),
        }
    }
}

/// Waits longer after each attempt, with some chance in it so that many do not come back at once.
pub(super) async fn pause(attempt: u32) {
    let full = Duration::from_millis(200) * 2_u32.saturating_pow(attempt.min(5) - 1);
    tokio::time::sleep(full.mul_f64(rand::random_range(0.5..1.0))).await;
}

/// Reads an answer's body, which may not be longer than `limit`.
pub(super) async fn read_limited(
    registry: &str,
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, RegistryError> {
    let mut body = Vec::new();
    let fail = |error| RegistryError::from_client(registry, error);
    while let Some(chunk) = response.chunk().await.map_err(fail)? {
        if body.len() + chunk.len() > limit {
            return Err(RegistryError::Protocol {
                registry: registry.to_owned(),
                detail: format!("an answer is longer than {limit} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Follows where the registry leads, but not away from TLS and not for ever.
fn redirects(is_insecure: bool) -> Policy {
    Policy::custom(move |attempt| {
        let from_tls = attempt
            .previous()
            .last()
            .is_some_and(|url| url.scheme() == "https");
        if from_tls && attempt.url().scheme() != "https" && !is_insecure {
            return attempt.error("the registry leads away from TLS");
        }
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error("the registry leads on and on");
        }
        attempt.follow()
    })
}

fn client(endpoint: &Endpoint, policy: Policy) -> Result<Client, RegistryError> {
    // Whoever installs a provider first wins; that it is there is all that counts.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(policy)
        .tls_danger_accept_invalid_certs(endpoint.is_insecure);
    if endpoint.is_loopback {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| RegistryError::from_client(&endpoint.name, error))
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 429)
}

/// Returns the registry's own words, or the status's.
fn describe(status: StatusCode, body: &[u8]) -> String {
    let words =
        serde_json::from_slice::<ErrorBody>(body).unwrap_or(ErrorBody { errors: Vec::new() });
    let mut texts: Vec<String> = Vec::new();
    for ErrorEntry { code, message } in words.errors {
        let code = code.to_lowercase().replace('_', " ");
        texts.push(match (code.is_empty(), message.is_empty()) {
            (false, false) => format!("{code}: {message}"),
            (false, true) => code,
            _ => message,
        });
    }
    if texts.is_empty() {
        return status
            .canonical_reason()
            .unwrap_or("unknown status")
            .to_lowercase();
    }
    texts.join(", ")
}
