//! Creating containers.

use berth_agent_engine::Classified as _;
use http::{Response, StatusCode};
use serde_json::json;

use crate::answer;
use crate::api::Api;
use crate::audit;
use crate::body::Body;
use crate::call::Call;
use crate::containers::options::ContainerConfig;
use crate::error::ApiError;

/// Creates one.
pub(super) async fn create(api: &Api, mut call: Call) -> Result<Response<Body>, ApiError> {
    let config: ContainerConfig = call.json().await?;
    let platform = if call.version.since(41) {
        call.query.text("platform").to_owned()
    } else {
        String::new()
    };
    let options = config.into_options(platform)?;
    let image = options.image.clone();
    let name = call.query.text("name");
    let created = api.engine().create(name, options).await;
    let created = created.map_err(|error| {
        let is_image = error.reason() == "image-not-found";
        let error = ApiError::from(error);
        // Clients take this status for a missing image and pull one.
        if error.status() == StatusCode::NOT_FOUND && !is_image {
            error.with_status(StatusCode::BAD_REQUEST)
        } else {
            error
        }
    })?;
    let object = json!({ "Id": created.id.as_str(), "Warnings": created.warnings });
    let about = format!("id={} image={image}", created.id.as_str());
    let response = answer::json(StatusCode::CREATED, &object);
    Ok(audit::about(response, about))
}
