//! Archives of images that arrive.

use std::sync::Arc;

use http::Response;
use tokio::sync::mpsc;

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::streams::blocking;
use crate::streams::progress::Line;
use crate::streams::transfer::{self, Failure};

/// Takes all images of an archive in.
pub(super) async fn load(api: &Api, call: Call) -> Result<Response<Body>, ApiError> {
    let engine = Arc::clone(api.engine());
    let (lines, receiver) = mpsc::channel(1);
    let work = async move {
        let (_parts, body) = call.into_reader();
        let loaded = engine.load_images(Box::new(blocking::reader(body))).await?;
        for image in loaded {
            if image.names.is_empty() {
                // A client that is gone does not need it.
                let line = Line::stream(format!("Loaded image ID: {}\n", image.id));
                let _ = lines.send(line).await;
            }
            for name in image.names {
                if let Some(former) = name.replaced {
                    let name = &name.name;
                    let line = Line::stream(format!(
                        "The image {name} already exists, renaming the old one with ID {former} to empty string\n"
                    ));
                    let _ = lines.send(line).await;
                }
                let line = Line::stream(format!("Loaded image: {}\n", name.name));
                let _ = lines.send(line).await;
            }
        }
        Ok::<(), Failure>(())
    };
    transfer::answer(receiver, work).await
}
