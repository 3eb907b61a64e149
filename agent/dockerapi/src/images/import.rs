//! Images out of archives of root filesystems.

use std::io::Read;
use std::sync::Arc;

use berth_agent_build::apply_changes;
use berth_agent_images::{ImageConfiguration, ImportRequest, fetch};
use http::Response;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::images::names;
use crate::streams::blocking;
use crate::streams::progress::Line;
use crate::streams::transfer::{self, Failure};

/// Imports the body, or what is at an address.
pub(super) async fn import(api: &Api, call: Call) -> Result<Response<Body>, ApiError> {
    let query = call.query.clone();
    let source = query.text("fromSrc").to_owned();
    let mut config = ImageConfiguration::default();
    let changes: Vec<String> = query.all("changes").map(str::to_owned).collect();
    apply_changes(&mut config, &changes)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let comment = match query.text("message") {
        "" => format!("Imported from {source}"),
        message => message.to_owned(),
    };
    let request = ImportRequest {
        reference: names::optional(query.text("repo"), query.text("tag"))?,
        config,
        comment,
        platform: names::platform(query.text("platform"))?,
    };
    let engine = Arc::clone(api.engine());
    let (lines, receiver) = mpsc::channel(2);
    let work = async move {
        let reader: Box<dyn Read + Send> = if source == "-" {
            let (_parts, body) = call.into_reader();
            Box::new(blocking::reader(body))
        } else {
            let address = with_scheme(&source);
            let body = fetch(&address).await?;
            let said = Line::status(format!("Downloading from {address}"));
            // A client that is gone does not need it.
            let _ = lines.send(said).await;
            Box::new(blocking::reader(StreamReader::new(Box::pin(body))))
        };
        let id = engine.images().import_rootfs(reader, request).await?;
        engine.image_event("import", id.as_str(), id.as_str());
        let _ = lines.send(Line::status(id.to_string())).await;
        Ok::<(), Failure>(())
    };
    transfer::answer(receiver, work).await
}

/// Docker takes a bare host for one that speaks HTTP.
fn with_scheme(source: &str) -> String {
    if source.contains("://") {
        source.to_owned()
    } else {
        format!("http://{source}")
    }
}
