//! Naming images.

use http::{Response, StatusCode};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::images::names;

/// Gives an image a name.
pub(super) fn tag(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let target = names::reference(call.query.text("repo"), call.query.text("tag"))?;
    let images = api.engine().images();
    let id = images.resolve(name)?;
    images.tag(&id, &target)?;
    api.engine()
        .image_event("tag", id.as_str(), &target.familiar());
    Ok(answer::plain(StatusCode::CREATED))
}
