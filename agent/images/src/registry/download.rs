//! Getting a blob, again and again from where it broke off.

use futures::StreamExt as _;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::session::pause;
use super::{RegistryError, Session};
use crate::Digest;
use crate::ingest::Chunk;
use crate::progress::{LayerPhase, LayerProgress};

/// How many times in a row a transfer may break without getting on.
const ATTEMPTS: u32 = 6;

/// A connection that brings so much before it breaks counts as getting on.
const ADVANCE: u64 = 64 * 1024;

/// What to fetch, and where it goes.
#[derive(Debug)]
pub(crate) struct Download<'a> {
    pub(crate) digest: &'a Digest,
    pub(crate) size: u64,
    /// How much of it is there already.
    pub(crate) offset: u64,
    pub(crate) chunks: &'a Sender<Chunk>,
    pub(crate) progress: &'a LayerProgress,
    pub(crate) cancel: &'a CancellationToken,
}

/// How one connection ended.
enum Ended {
    Complete,
    /// Whoever takes the chunks does not want more, and says himself why.
    Unwanted,
}

impl Download<'_> {
    /// Fetches the rest of the blob and sends it on, with the mark at its end.
    pub(crate) async fn run(mut self, session: &Session) -> Result<(), RegistryError> {
        let cancel = self.cancel;
        tokio::select! {
            // Cancel-safe: what was sent on is in the file, and nothing else is kept.
            () = cancel.cancelled() => Err(RegistryError::Cancelled),
            result = self.fetch(session) => result,
        }
    }

    async fn fetch(&mut self, session: &Session) -> Result<(), RegistryError> {
        let mut attempt = 1;
        while self.offset < self.size {
            let before = self.offset;
            let error = match self.connection(session).await {
                Ok(Ended::Complete) => break,
                Ok(Ended::Unwanted) => return Ok(()),
                Err(error) => error,
            };
            if self.offset - before >= ADVANCE {
                attempt = 1;
            }
            if !error.is_passing() || attempt >= ATTEMPTS {
                return Err(error);
            }
            tracing::debug!(digest = %self.digest, offset = self.offset, %error, "resuming a transfer");
            pause(attempt).await;
            attempt += 1;
        }
        // Nobody takes it any more: then the receiver knows why.
        let _ = self.chunks.send(Chunk::End).await;
        Ok(())
    }

    async fn connection(&mut self, session: &Session) -> Result<Ended, RegistryError> {
        let (response, mut surplus) = self.open(session).await?;
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk.map_err(|error| session.failure(error))?;
            // A server without ranges begins at the beginning.
            let skipped = usize::try_from(surplus).map_or(chunk.len(), |n| n.min(chunk.len()));
            surplus -= skipped as u64;
            let chunk = chunk.split_off(skipped);
            self.offset += chunk.len() as u64;
            if self.offset > self.size {
                return Err(session.wrong("a blob is longer than its manifest says"));
            }
            if self.chunks.send(Chunk::Data(chunk)).await.is_err() {
                return Ok(Ended::Unwanted);
            }
            self.progress
                .report(LayerPhase::Downloading, self.offset, self.size);
        }
        if self.offset < self.size {
            return Err(RegistryError::Refused {
                registry: session.registry().to_owned(),
                // What a proxy that lost its other side would say.
                status: StatusCode::BAD_GATEWAY.as_u16(),
                detail: "a blob ended early".to_owned(),
            });
        }
        Ok(Ended::Complete)
    }

    /// Opens a connection; returns how many bytes of it are known already.
    async fn open(&self, session: &Session) -> Result<(Response, u64), RegistryError> {
        let address = session.address(&format!("blobs/{}", self.digest))?;
        let range = format!("bytes={}-", self.offset);
        let response = session
            .send(|client| {
                let request = client.get(address.clone());
                if self.offset == 0 {
                    request
                } else {
                    request.header(RANGE, &range)
                }
            })
            .await?;
        match response.status() {
            StatusCode::OK => Ok((response, self.offset)),
            StatusCode::PARTIAL_CONTENT => {
                let expected = format!("bytes {}-", self.offset);
                let header = response.headers().get(CONTENT_RANGE);
                let header = header
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default();
                if !header.starts_with(&expected) {
                    return Err(session.wrong(format!("it sent the range {header:?}")));
                }
                Ok((response, 0))
            }
            _ => Err(session.refusal(response).await),
        }
    }
}
