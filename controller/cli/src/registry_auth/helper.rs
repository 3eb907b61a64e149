//! `docker-credential-*` programs: a word as argument, the server or JSON on standard input, JSON
//! on standard output.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use berth_proto::v1::RegistryAuth;
use serde::{Deserialize, Serialize};

/// The name with which helpers mark an identity token.
const TOKEN_USER: &str = "<token>";

/// A helper that did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelperError {
    #[error("cannot run {program}")]
    Run {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{program} {verb} failed: {said}")]
    Failed {
        program: String,
        verb: &'static str,
        said: String,
    },
    #[error("{program} answered something that is no JSON")]
    Answer {
        program: String,
        #[source]
        source: serde_json::Error,
    },
}

/// What helpers speak.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Credentials {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: String,
}

// === impl Credentials ===

impl Credentials {
    pub(crate) fn into_auth(self) -> RegistryAuth {
        if self.username == TOKEN_USER {
            return RegistryAuth {
                identity_token: self.secret,
                ..RegistryAuth::default()
            };
        }
        RegistryAuth {
            username: self.username,
            password: self.secret,
            ..RegistryAuth::default()
        }
    }
}

/// Asks for the credentials of a server; `None` when the helper has none.
pub(crate) fn get(helper: &str, server: &str) -> Result<Option<Credentials>, HelperError> {
    match call(helper, "get", server.as_bytes()) {
        Ok(answer) => {
            serde_json::from_slice(&answer)
                .map(Some)
                .map_err(|source| HelperError::Answer {
                    program: program(helper),
                    source,
                })
        }
        // The protocol has no other sign for "none" than this sentence.
        Err(HelperError::Failed { said, .. }) if said.starts_with("credentials not found") => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Lists the servers that the helper has credentials of.
pub(crate) fn list(helper: &str) -> Result<Vec<String>, HelperError> {
    let answer = call(helper, "list", b"")?;
    let listed: BTreeMap<String, String> =
        serde_json::from_slice(&answer).map_err(|source| HelperError::Answer {
            program: program(helper),
            source,
        })?;
    Ok(listed.into_keys().collect())
}

/// Gives the helper credentials to keep.
pub(crate) fn store(
    helper: &str,
    server: &str,
    user: &str,
    secret: &str,
) -> Result<(), HelperError> {
    let credentials = Credentials {
        server_url: server.to_owned(),
        username: user.to_owned(),
        secret: secret.to_owned(),
    };
    let input = serde_json::to_vec(&credentials).map_err(|source| HelperError::Answer {
        program: program(helper),
        source,
    })?;
    call(helper, "store", &input).map(drop)
}

/// Makes the helper forget a server.
pub(crate) fn erase(helper: &str, server: &str) -> Result<(), HelperError> {
    call(helper, "erase", server.as_bytes()).map(drop)
}

fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

fn call(helper: &str, verb: &'static str, input: &[u8]) -> Result<Vec<u8>, HelperError> {
    let program = program(helper);
    let run = || -> std::io::Result<std::process::Output> {
        let mut child = Command::new(&program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // A helper that reads nothing says itself what is wrong.
            let _ = pipe.write_all(input);
        }
        child.wait_with_output()
    };
    let output = run().map_err(|source| HelperError::Run {
        program: program.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Err(HelperError::Failed {
        program,
        verb,
        said,
    })
}
