//! A token server as docker-registry trusts it: it signs what may be done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, SigningKey as _};
use serde_json::json;

use super::http::{Answer, Request, Server};
use super::registry::{PASSWORD, USER};

pub(crate) struct TokenServer {
    server: Server,
    certificate: String,
}

impl TokenServer {
    pub(crate) fn start() -> Self {
        let key = Arc::new(KeyPair::generate().expect("key"));
        let params = CertificateParams::new(vec!["test".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&*key).expect("certificate");
        let der = STANDARD.encode(certificate.der());
        Self {
            server: Server::start(move |request| answer(request, &key, &der)),
            certificate: certificate.pem(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }
}

/// Anybody may pull from `public/`; the user may do everything.
fn answer(request: &Request, key: &KeyPair, certificate: &str) -> Answer {
    let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let is_user = match request.header("authorization") {
        None => false,
        Some(value) if value == basic => true,
        Some(_wrong) => return Answer::new(401, "{}"),
    };
    let address = reqwest::Url::parse(&format!("http://test{}", request.target)).expect("target");
    let mut access = Vec::new();
    for (name, value) in address.query_pairs() {
        let mut parts = value.splitn(3, ':');
        if let ("scope", Some(kind), Some(repository), Some(actions)) =
            (name.as_ref(), parts.next(), parts.next(), parts.next())
        {
            let actions: Vec<&str> = actions
                .split(',')
                .filter(|action| {
                    is_user || (*action == "pull" && repository.starts_with("public/"))
                })
                .collect();
            access.push(json!({"type": kind, "name": repository, "actions": actions}));
        }
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("clock")
        .as_secs();
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [certificate]});
    let claims = json!({
        "iss": "test", "sub": USER, "aud": "test", "jti": "1", "access": access,
        "iat": now, "nbf": now - 10, "exp": now + 300,
    });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&header), encode(&claims));
    let signature = fixed(&key.sign(text.as_bytes()).expect("signature"));
    let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
    Answer::new(200, json!({"token": token}).to_string())
}

/// Turns a signature in ASN.1 (two integers in a sequence) into the two numbers side by side.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut fixed = Vec::new();
    let mut rest = &der[2..];
    for _number in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        let skip = number.len().saturating_sub(32);
        fixed.resize(fixed.len() + 32_usize.saturating_sub(number.len()), 0);
        fixed.extend_from_slice(&number[skip..]);
        rest = after;
    }
    fixed
}
