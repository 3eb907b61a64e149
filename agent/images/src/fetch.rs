//! Fetching an archive from a web address, for imports.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use reqwest::{Client, Url};

use crate::ErrorKind;

/// How long a server may take to take a connection, or to send the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An archive cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is no address of the web.
    #[error("invalid address {url:?}: only http and https are fetched")]
    Address {
        /// The address as given.
        url: String,
    },
    /// The server cannot be reached, or ends the connection.
    #[error("failed to GET {url}")]
    Connection {
        /// The address, without user and password.
        url: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The server has it not, or gives it not.
    #[error("failed to GET {url} with status {status}")]
    Status {
        /// The address, without user and password.
        url: String,
        /// What the server said.
        status: reqwest::StatusCode,
    },
}

/// Begins to fetch what is at a web address. Bytes come as they arrive; the connection ends when the
/// stream is dropped.
///
/// # Errors
///
/// Fails when the address is wrong, the server cannot be reached or does not have it.
pub async fn fetch(
    url: &str,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, FetchError> {
    let wrong = || FetchError::Address {
        url: url.to_owned(),
    };
    let address: Url = url.parse().map_err(|_error| wrong())?;
    if !matches!(address.scheme(), "http" | "https") || !address.has_host() {
        return Err(wrong());
    }
    let shown = without_secrets(address.clone());
    let failed = |source: reqwest::Error| FetchError::Connection {
        url: shown.clone(),
        source: source.without_url(),
    };
    // Whoever installs a provider first wins; that it is there is all that counts.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE)
        .build()
        .map_err(&failed)?;
    let response = client.get(address).send().await.map_err(&failed)?;
    let status = response.status();
    if !status.is_success() {
        return Err(FetchError::Status { url: shown, status });
    }
    Ok(response
        .bytes_stream()
        .map(|chunk| chunk.map_err(|error| io::Error::other(error.without_url()))))
}

fn without_secrets(mut url: Url) -> String {
    // They fail only for addresses that have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

impl FetchError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Address { .. } => ErrorKind::Invalid,
            Self::Connection { .. } => ErrorKind::Unavailable,
            Self::Status { status, .. } if status.as_u16() == 404 => ErrorKind::NotFound,
            Self::Status { .. } => ErrorKind::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_web_addresses_are_fetched() {
        for url in [
            "/etc/passwd",
            "file:///etc/passwd",
            "ftp://host/x",
            "http://",
            "x",
        ] {
            let error = fetch(url).await.err().expect("refused");
            assert!(matches!(error, FetchError::Address { .. }), "{url}");
        }
    }

    #[tokio::test]
    async fn an_error_names_the_address_without_the_password() {
        // Nothing listens on the discard port of loopback.
        let error = fetch("http://user:secret@127.0.0.1:9/x").await;
        let error = error.err().expect("nobody there");
        assert!(matches!(error, FetchError::Connection { .. }));
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
}
