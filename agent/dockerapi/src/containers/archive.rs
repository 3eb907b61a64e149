//! Files of containers, as archives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_agent_engine::{
    ArchiveInput, ArchiveSender, GetOptions, PathStat, PutOptions, archive_input,
};
use futures::StreamExt as _;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

use crate::answer;
use crate::api::Api;
use crate::body::{self, Body};
use crate::call::{BodyReader, Call};
use crate::error::ApiError;
use crate::moment;
use crate::streams::archive;

/// Has what a path is, as JSON in base64.
const STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");
/// Bytes of a piece that is passed on to the engine.
const PIECE: usize = 256 * 1024;

/// Describes a path.
pub(super) async fn stat(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let stat = api.engine().stat_path(name, path(call)?).await?;
    let mut response = answer::plain(StatusCode::OK);
    response.headers_mut().insert(STAT, header(&stat)?);
    Ok(response)
}

/// Sends what is at a path.
pub(super) async fn get(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let path = path(call)?;
    let options = GetOptions::default();
    let (stat, chunks) = api.engine().get_archive(name, path, options).await?;
    let body = body::streamed(archive::chunks(chunks));
    let mut response = answer::with(StatusCode::OK, answer::TAR, body);
    response.headers_mut().insert(STAT, header(&stat)?);
    Ok(response)
}

/// Sends the whole root filesystem.
pub(super) async fn export(api: &Api, name: &str) -> Result<Response<Body>, ApiError> {
    let chunks = api.engine().export(name).await?;
    let body = body::streamed(archive::chunks(chunks));
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(answer::with(StatusCode::OK, kind, body))
}

/// Unpacks what arrives.
pub(super) async fn put(api: &Api, call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let options = PutOptions {
        path: path(&call)?.to_owned(),
        no_overwrite_dir_non_dir: call.query.is_true("noOverwriteDirNonDir"),
        copy_owner: call.query.is_true("copyUIDGID"),
    };
    let (sender, input) = archive_input();
    let (_parts, reader) = call.into_reader();
    // Ends with this call: when the client goes away, the unpacking must not wait for more.
    let pump = AbortOnDropHandle::new(tokio::spawn(pass_on(reader, sender)));
    let result = api.engine().put_archive(name, options, input).await;
    drop(pump);
    result?;
    Ok(answer::plain(StatusCode::OK))
}

async fn pass_on(reader: BodyReader, sender: ArchiveSender) {
    let mut pieces = ReaderStream::with_capacity(reader, PIECE);
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => ArchiveInput::Data(piece),
            Err(error) => {
                // Without an end it is not taken for whole.
                tracing::debug!(error = %error, "a copy was cut off");
                return;
            }
        };
        if sender.send(piece).await.is_err() {
            return;
        }
    }
    // Without a receiver it has failed already.
    let _ = sender.send(ArchiveInput::End).await;
}

fn path(call: &Call) -> Result<&str, ApiError> {
    match call.query.text("path") {
        "" => Err(ApiError::bad_request("Bad parameter: path cannot be empty")),
        path => Ok(path),
    }
}

fn header(stat: &PathStat) -> Result<HeaderValue, ApiError> {
    let target = stat.link_target.as_ref();
    let object = json!({
        "name": stat.name.to_string_lossy(),
        "size": stat.size,
        "mode": stat.mode,
        "mtime": moment::rfc3339(stat.modified),
        "linkTarget": target.map(|target| target.to_string_lossy()).unwrap_or_default(),
    });
    HeaderValue::try_from(STANDARD.encode(object.to_string()))
        .map_err(|error| ApiError::internal(error.to_string()))
}
