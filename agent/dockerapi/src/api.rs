//! The face as a whole: from a request to an answer with the headers that all answers have.

use std::convert::Infallible;
use std::sync::Arc;

use berth_agent_access::{AuditLog, Identity, Role};
use berth_agent_build::Builder;
use berth_agent_engine::Engine;
use http::header::{HeaderName, HeaderValue, SERVER};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::audit;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::incoming::RequestBody;
use crate::query::Query;
use crate::router;
use crate::version::{ApiVersion, MAX_VERSION, MIN_VERSION};

const API_VERSION: HeaderName = HeaderName::from_static("api-version");
const OS_TYPE: HeaderName = HeaderName::from_static("ostype");
const EXPERIMENTAL: HeaderName = HeaderName::from_static("docker-experimental");

/// What the face is made of.
#[derive(Debug)]
pub struct ApiConfig {
    /// The engine.
    pub engine: Arc<Engine>,
    /// What builds images; nothing when its folder could not be prepared, for the reason given.
    pub builder: Result<Arc<Builder>, String>,
    /// Git commit of the agent's build, or empty.
    pub git_commit: String,
    /// Where changes are recorded.
    pub audit: Arc<AuditLog>,
}

/// The Docker Engine API of one agent.
#[derive(Clone, Debug)]
pub struct Api(pub(crate) Arc<Parts>);

/// What calls use.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) engine: Arc<Engine>,
    pub(crate) builder: Result<Arc<Builder>, String>,
    pub(crate) git_commit: String,
    audit: Arc<AuditLog>,
    server: HeaderValue,
    api_version: HeaderValue,
}

impl Api {
    /// Makes the face.
    #[must_use]
    pub fn new(config: ApiConfig) -> Self {
        let version = &config.engine.config().version;
        let header = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_odd| HeaderValue::from_static("berthd"))
        };
        Self(Arc::new(Parts {
            server: header(&format!("berthd/{version} (linux)")),
            api_version: header(&MAX_VERSION.to_string()),
            engine: config.engine,
            builder: config.builder,
            git_commit: config.git_commit,
            audit: config.audit,
        }))
    }

    /// Answers a request of a caller.
    ///
    /// # Errors
    /// Never; failures are answers.
    pub async fn call(
        self,
        request: Request<Incoming>,
        identity: &Arc<Identity>,
    ) -> Result<Response<Body>, Infallible> {
        let is_head = request.method() == Method::HEAD;
        let answered = self.answer(request, identity).await;
        let mut response = answered.unwrap_or_else(|error| error.answer());
        if is_head {
            // Also of a failure a client reads no more than the headers.
            *response.body_mut() = crate::body::empty();
        }
        let headers = response.headers_mut();
        headers.insert(SERVER, self.0.server.clone());
        headers.insert(API_VERSION, self.0.api_version.clone());
        headers.insert(OS_TYPE, HeaderValue::from_static("linux"));
        headers.insert(EXPERIMENTAL, HeaderValue::from_static("false"));
        Ok(response)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        identity: &Arc<Identity>,
    ) -> Result<Response<Body>, ApiError> {
        let (path, version) = split(request.uri().path())?;
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let call = Call {
            method: request.method().clone(),
            path,
            version,
            query,
            request: request.map(RequestBody::from),
        };
        if !audit::is_change(&call.method, &call.path) {
            return router::route(self, call).await;
        }
        let note = audit::begin(&self.0.audit, identity, &call);
        let result = if identity.role() == Role::Reader {
            let sentence = format!("{identity} is read-only: it may look, but change nothing");
            Err(ApiError::new(StatusCode::FORBIDDEN, sentence))
        } else {
            router::route(self, call).await
        };
        audit::end(note, &result);
        result
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }
}

/// Splits a path into the part after the version, decoded, and the version that is spoken.
fn split(path: &str) -> Result<(String, ApiVersion), ApiError> {
    let decoded = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_not_text| ApiError::bad_request("the path is not valid UTF-8"))?;
    let versioned = decoded.strip_prefix("/v").and_then(|rest| {
        let (version, rest) = rest.split_at(rest.find('/')?);
        let is_number = version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        (is_number && !version.is_empty()).then_some((version, rest))
    });
    let Some((text, rest)) = versioned else {
        return Ok((decoded.into_owned(), MAX_VERSION));
    };
    let version: ApiVersion = text
        .parse()
        .map_err(|_not_a_version| ApiError::page_not_found())?;
    if version < MIN_VERSION {
        return Err(ApiError::bad_request(format!(
            "client version {text} is too old. Minimum supported API version is {MIN_VERSION}, please upgrade your client to a newer version"
        )));
    }
    if version > MAX_VERSION {
        return Err(ApiError::bad_request(format!(
            "client version {text} is too new. Maximum supported API version is {MAX_VERSION}"
        )));
    }
    Ok((rest.to_owned(), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_taken_off_the_path() {
        let path = |path| split(path).map(|(path, version)| (path, version.to_string()));
        assert_eq!(
            path("/v1.41/containers/a%20b/json").expect("known"),
            ("/containers/a b/json".to_owned(), "1.41".to_owned())
        );
        assert_eq!(
            path("/volumes/v1").expect("newest"),
            ("/volumes/v1".to_owned(), MAX_VERSION.to_string())
        );
        let old = path("/v1.23/info").expect_err("old");
        assert!(
            old.sentence()
                .starts_with("client version 1.23 is too old.")
        );
        let new = path("/v1.99/info").expect_err("new");
        let wanted = "client version 1.99 is too new. Maximum supported API version is 1.50";
        assert_eq!(new.sentence(), wanted);
    }
}
