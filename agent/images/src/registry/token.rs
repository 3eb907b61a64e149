//! Getting a bearer token from the server that a registry names.

use reqwest::{Client, Url};
use serde::Deserialize;

use super::RegistryError;
use super::session::read_limited;
use crate::Credentials;

/// The longest answer that is read; tokens have a few kilobytes.
const MAX_ANSWER: usize = 1 << 20;

#[derive(Debug, Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// What the token is for.
#[derive(Debug)]
pub(super) struct TokenRequest<'a> {
    pub(super) registry: &'a str,
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a [String],
    pub(super) credentials: &'a Credentials,
    /// Whether passwords may travel without TLS, as they do to the registry itself.
    pub(super) is_plain_allowed: bool,
}

impl TokenRequest<'_> {
    pub(super) async fn fetch(&self, client: &Client) -> Result<String, RegistryError> {
        let realm = Url::parse(self.realm).ok().filter(|url| {
            url.scheme() == "https" || (url.scheme() == "http" && self.is_plain_allowed)
        });
        let realm = realm.ok_or_else(|| self.wrong("its token server's address is not usable"))?;
        let request = if self.credentials.identity_token.is_empty() {
            self.by_password(client, realm)
        } else {
            self.by_refresh_token(client, realm)
        };
        let fail = |error| RegistryError::from_client(self.registry, error);
        let response = request.send().await.map_err(fail)?;
        let status = response.status();
        let body = read_limited(self.registry, response, MAX_ANSWER).await?;
        if matches!(status.as_u16(), 400 | 401 | 403) {
            return Err(RegistryError::Unauthorized {
                registry: self.registry.to_owned(),
                detail: "the token server does not accept the credentials".to_owned(),
            });
        }
        if !status.is_success() {
            return Err(RegistryError::Refused {
                registry: self.registry.to_owned(),
                status: status.as_u16(),
                detail: "the token server failed".to_owned(),
            });
        }
        let answer: Option<Answer> = serde_json::from_slice(&body).ok();
        answer
            .and_then(|answer| answer.token.or(answer.access_token))
            .ok_or_else(|| self.wrong("its token server sent no token"))
    }

    fn by_password(&self, client: &Client, mut realm: Url) -> reqwest::RequestBuilder {
        {
            let mut query = realm.query_pairs_mut();
            if let Some(service) = self.service {
                query.append_pair("service", service);
            }
            for scope in self.scopes {
                query.append_pair("scope", scope);
            }
            if let Some((username, _password)) = self.credentials.basic() {
                query.append_pair("account", username);
            }
        }
        let request = client.get(realm);
        match self.credentials.basic() {
            Some((username, password)) => request.basic_auth(username, Some(password)),
            None => request,
        }
    }

    fn by_refresh_token(&self, client: &Client, realm: Url) -> reqwest::RequestBuilder {
        client.post(realm).form(&[
            ("grant_type", "refresh_token"),
            ("client_id", "berth"),
            ("service", self.service.unwrap_or_default()),
            ("scope", &self.scopes.join(" ")),
            ("refresh_token", &self.credentials.identity_token),
        ])
    }

    fn wrong(&self, detail: &str) -> RegistryError {
        RegistryError::Protocol {
            registry: self.registry.to_owned(),
            detail: detail.to_owned(),
        }
    }
}
