//! Whether a registry takes credentials.

use berth_agent_engine::{Classified as _, ErrorClass};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::registry_auth::{AuthConfig, domain};

/// What is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Login {
    #[serde(flatten)]
    auth: AuthConfig,
    serveraddress: String,
}

/// Asks the registry.
pub(super) async fn login(api: &Api, mut call: Call) -> Result<Response<Body>, ApiError> {
    let Login {
        auth,
        serveraddress,
    } = call.json().await?;
    let server = match domain(&serveraddress) {
        server if server.is_empty() => "docker.io".to_owned(),
        server => server,
    };
    let answer = api.engine().images().login(&server, &auth.into()).await;
    answer.map_err(|error| {
        let is_refused = error.class() == ErrorClass::Unauthorized;
        let error = ApiError::from(error);
        if is_refused {
            // Here it is the caller's own question.
            error.with_status(StatusCode::UNAUTHORIZED)
        } else {
            error
        }
    })?;
    Ok(answer::ok(&json!({
        "Status": "Login Succeeded",
        "IdentityToken": "",
    })))
}
