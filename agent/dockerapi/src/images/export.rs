//! Archives of images on their way to clients.

use std::io;

use berth_agent_engine::{Classified as _, ImageChunks};
use bytes::Bytes;
use futures::{Stream, stream};
use http::{Response, StatusCode};

use crate::answer;
use crate::api::Api;
use crate::body::{self, Body};
use crate::call::Call;
use crate::error::{ApiError, broken};

/// Sends one image.
pub(super) async fn one(api: &Api, name: &str) -> Result<Response<Body>, ApiError> {
    send(api, vec![name.to_owned()]).await
}

/// Sends those that are named.
pub(super) async fn several(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let names = call.query.all("names").map(str::to_owned).collect();
    send(api, names).await
}

async fn send(api: &Api, names: Vec<String>) -> Result<Response<Body>, ApiError> {
    let chunks = api.engine().save_images(names).await?;
    let body = body::streamed(pieces(chunks));
    Ok(answer::with(StatusCode::OK, answer::TAR, body))
}

/// A failure in the middle cuts the connection off, so that nobody takes a part for the whole.
fn pieces(chunks: ImageChunks) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some(chunks), |chunks| async move {
        let mut chunks = chunks?;
        match chunks.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(chunks))),
            Ok(None) => None,
            Err(error) => {
                let sentence = error.sentence();
                tracing::warn!(error = sentence, "archive of images cut off");
                Some((Err(broken(sentence)), None))
            }
        }
    })
}
