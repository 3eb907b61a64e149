//! Sending blobs and manifests.

use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Body, Response, StatusCode, Url};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::session::pause;
use super::{Manifest, RegistryError, Session};
use crate::Digest;
use crate::progress::{LayerPhase, LayerProgress};

/// How many times a transfer may break.
const ATTEMPTS: u32 = 6;

/// How much of a file is read at a time.
const BUFFER: usize = 128 * 1024;

/// How the registry came to have a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Uploaded {
    /// It had it.
    Existed,
    /// It took it from another of its repositories.
    Mounted,
    /// It was sent.
    Sent,
}

impl Session {
    /// Tells whether the registry has a blob in this repository.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let address = self.address(&format!("blobs/{digest}"))?;
        let response = self
            .send_patiently(|client| client.head(address.clone()))
            .await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refusal(response).await),
        }
    }

    /// Asks the registry to take a blob from another of its repositories; false when it wants it
    /// sent.
    pub(crate) async fn mount(&self, digest: &Digest, from: &str) -> Result<bool, RegistryError> {
        let mut address = self.address("blobs/uploads/")?;
        address
            .query_pairs_mut()
            .append_pair("mount", digest.as_str())
            .append_pair("from", from);
        let response = self
            .send_patiently(|client| client.post(address.clone()).header(CONTENT_LENGTH, 0))
            .await?;
        if response.status() == StatusCode::ACCEPTED {
            // An upload was begun instead, which is not used.
            if let Ok(upload) = self.location(&address, &response) {
                let _ = self.send(|client| client.delete(upload.clone())).await;
            }
        }
        Ok(response.status() == StatusCode::CREATED)
    }

    /// Sends a blob from a file.
    pub(crate) async fn upload(
        &self,
        digest: &Digest,
        (path, size): (&Path, u64),
        progress: &Arc<LayerProgress>,
    ) -> Result<(), RegistryError> {
        let mut attempt = 1;
        let mut upload = None;
        loop {
            let result = self
                .upload_once(digest, (path, size), progress, &mut upload)
                .await;
            match result {
                Err(error) if error.is_passing() && attempt < ATTEMPTS => {
                    tracing::debug!(%digest, %error, attempt, "resuming an upload");
                    pause(attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Sends a small blob.
    pub(crate) async fn upload_bytes(
        &self,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let upload = self.begin().await?;
        let address = with_digest(upload, digest);
        let response = self
            .send(|client| client.put(address.clone()).body(bytes.to_vec()))
            .await?;
        self.expect(response, StatusCode::CREATED).await
    }

    /// Sends a manifest under a tag or its digest.
    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let address = self.address(&format!("manifests/{name}"))?;
        let response = self
            .send_patiently(|client| {
                client
                    .put(address.clone())
                    .header(CONTENT_TYPE, &manifest.media_type)
                    .body(manifest.text.clone())
            })
            .await?;
        self.expect(response, StatusCode::CREATED).await
    }

    /// Sends what the upload still lacks and completes it. `upload` is where it goes, once known.
    async fn upload_once(
        &self,
        digest: &Digest,
        (path, size): (&Path, u64),
        progress: &Arc<LayerProgress>,
        upload: &mut Option<Url>,
    ) -> Result<(), RegistryError> {
        let (address, offset) = match upload.take() {
            None => (self.begin().await?, 0),
            Some(address) => match self.uploaded(&address).await {
                Some(known) => known,
                // The registry forgot it.
                None => (self.begin().await?, 0),
            },
        };
        *upload = Some(address.clone());
        let mut complete_at = address.clone();
        if offset < size {
            let response = self.patch(&address, (path, size), offset, progress).await?;
            if response.status() != StatusCode::ACCEPTED {
                let error = self.refusal(response).await;
                if !error.is_passing() {
                    *upload = None;
                }
                return Err(error);
            }
            complete_at = self.location(&address, &response)?;
            *upload = Some(complete_at.clone());
        }
        let complete_at = with_digest(complete_at, digest);
        let response = self
            .send(|client| client.put(complete_at.clone()).header(CONTENT_LENGTH, 0))
            .await?;
        self.expect(response, StatusCode::CREATED).await
    }

    async fn patch(
        &self,
        address: &Url,
        (path, size): (&Path, u64),
        offset: u64,
        progress: &Arc<LayerProgress>,
    ) -> Result<Response, RegistryError> {
        let mut file = tokio::fs::File::open(path)
            .await
            .map_err(RegistryError::Local)?;
        file.seek(std::io::SeekFrom::Start(offset))
            .await
            .map_err(RegistryError::Local)?;
        let file = std::sync::Mutex::new(Some(file));
        let range = format!("{offset}-{}", size - 1);
        self.send(|client| {
            let request = client
                .patch(address.clone())
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, size - offset);
            let request = if offset == 0 {
                request
            } else {
                request.header(CONTENT_RANGE, &range)
            };
            // Asked to authenticate after all, there is no body left to send; the next attempt
            // has one.
            let file = file
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take();
            match file {
                Some(file) => {
                    let progress = Arc::clone(progress);
                    let mut done = offset;
                    let left = file.take(size - offset);
                    let stream =
                        ReaderStream::with_capacity(left, BUFFER).inspect_ok(move |chunk| {
                            done += chunk.len() as u64;
                            progress.report(LayerPhase::Pushing, done, size);
                        });
                    request.body(Body::wrap_stream(stream))
                }
                None => client.get(address.clone()),
            }
        })
        .await
    }

    /// Begins an upload and returns where it goes.
    async fn begin(&self) -> Result<Url, RegistryError> {
        let address = self.address("blobs/uploads/")?;
        let response = self
            .send_patiently(|client| client.post(address.clone()).header(CONTENT_LENGTH, 0))
            .await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refusal(response).await);
        }
        self.location(&address, &response)
    }

    /// Asks how much of an upload has arrived; `None` when it cannot be gone on with.
    async fn uploaded(&self, address: &Url) -> Option<(Url, u64)> {
        let response = self.send(|client| client.get(address.clone())).await.ok()?;
        if response.status() != StatusCode::NO_CONTENT {
            return None;
        }
        let range = response.headers().get(RANGE)?.to_str().ok()?.to_owned();
        let (_zero, last) = range.split_once('-')?;
        let last: u64 = last.parse().ok()?;
        let address = self
            .location(address, &response)
            .unwrap_or_else(|_| address.clone());
        // "0-0" is said of nothing as well as of one byte; sending one byte twice would be wrong.
        let arrived = if last == 0 { return None } else { last + 1 };
        Some((address, arrived))
    }

    fn location(&self, asked: &Url, response: &Response) -> Result<Url, RegistryError> {
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        let location =
            location.ok_or_else(|| self.wrong("it does not say where to send a blob"))?;
        self.follow(asked, location)
    }

    async fn expect(&self, response: Response, status: StatusCode) -> Result<(), RegistryError> {
        if response.status() == status || response.status() == StatusCode::NO_CONTENT {
            return Ok(());
        }
        Err(self.refusal(response).await)
    }
}

fn with_digest(mut upload: Url, digest: &Digest) -> Url {
    upload
        .query_pairs_mut()
        .append_pair("digest", digest.as_str());
    upload
}
