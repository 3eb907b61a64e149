//! Credentials for registries, as clients send them in headers: JSON in URL-safe base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use berth_agent_images::Credentials;
use http::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::decode;
use crate::error::ApiError;

/// What a client knows of one registry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "lowercase")]
pub(crate) struct AuthConfig {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);

/// Returns the credentials for the registry that a call is about. As with Docker, what cannot be read
/// counts as none, so that public images can be had in spite of it.
pub(crate) fn of_call(headers: &HeaderMap) -> Credentials {
    let config: Result<Option<AuthConfig>, ApiError> = header(headers, "x-registry-auth");
    config.ok().flatten().unwrap_or_default().into()
}

/// Returns the credentials for all registries that a build may need.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn of_build(headers: &HeaderMap) -> Result<BTreeMap<String, Credentials>, ApiError> {
    let all: Option<BTreeMap<String, AuthConfig>> = header(headers, "x-registry-config")?;
    let all = all.unwrap_or_default().into_iter();
    Ok(all
        .map(|(registry, config)| (domain(&registry), config.into()))
        .collect())
}

fn header<T: DeserializeOwned>(headers: &HeaderMap, name: &str) -> Result<Option<T>, ApiError> {
    let Some(value) = headers.get(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let wrong = || ApiError::bad_request(format!("{name} is not base64"));
    let bytes = URL_SAFE
        .decode(value.as_bytes())
        .or_else(|_other| STANDARD.decode(value.as_bytes()))
        .map_err(|_not_base64| wrong())?;
    decode::json(&bytes).map(Some)
}

/// Returns the registry of an address under which clients keep credentials.
pub(crate) fn domain(address: &str) -> String {
    let address = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    let host = address.split('/').next().unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

impl From<AuthConfig> for Credentials {
    fn from(config: AuthConfig) -> Self {
        let AuthConfig {
            mut username,
            mut password,
            auth,
            identitytoken,
            registrytoken,
        } = config;
        // Older clients send both in one.
        let pair = STANDARD
            .decode(auth)
            .ok()
            .and_then(|pair| String::from_utf8(pair).ok());
        if let (true, Some((name, word))) = (
            username.is_empty(),
            pair.as_deref().and_then(|pair| pair.split_once(':')),
        ) {
            name.clone_into(&mut username);
            word.clone_into(&mut password);
        }
        Self {
            username,
            password,
            identity_token: identitytoken,
            registry_token: registrytoken,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, text: &str, engine: &GeneralPurpose) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&engine.encode(text)).expect("a header");
        headers.insert(name, value);
        headers
    }

    #[test]
    fn credentials_come_in_either_alphabet_and_in_one_word() {
        let text = r#"{"username":"ann?>","password":"s?>~","serveraddress":"reg:5000"}"#;
        for engine in [&URL_SAFE, &STANDARD] {
            let found = of_call(&headers("x-registry-auth", text, engine));
            assert_eq!(
                (found.username.as_str(), found.password.as_str()),
                ("ann?>", "s?>~")
            );
        }
        let text = format!(r#"{{"auth":"{}"}}"#, STANDARD.encode("ann:se:cret"));
        let found = of_call(&headers("x-registry-auth", &text, &URL_SAFE));
        assert_eq!(
            (found.username.as_str(), found.password.as_str()),
            ("ann", "se:cret")
        );
        assert_eq!(
            of_call(&headers("x-registry-auth", "x", &URL_SAFE)),
            Credentials::default()
        );
        assert_eq!(of_call(&HeaderMap::new()), Credentials::default());
    }

    #[test]
    fn a_build_gets_credentials_by_registry() {
        let text =
            r#"{"https://index.docker.io/v1/":{"username":"a"},"reg:5000":{"username":"b"}}"#;
        let found = of_build(&headers("x-registry-config", text, &URL_SAFE)).expect("valid");
        let names: Vec<_> = found
            .iter()
            .map(|(r, c)| (r.as_str(), c.username.as_str()))
            .collect();
        assert_eq!(names, [("docker.io", "a"), ("reg:5000", "b")]);
        of_build(&headers("x-registry-config", "x", &URL_SAFE)).expect_err("no JSON");
    }
}
