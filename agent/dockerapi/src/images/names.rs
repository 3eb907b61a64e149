//! Names of images, as calls have them: in one or two parameters.

use berth_agent_images::{Digest, Platform, Reference};

use crate::error::ApiError;

/// Reads a name and a tag or digest that may be apart.
///
/// # Errors
/// When they are none.
pub(crate) fn reference(name: &str, tag: &str) -> Result<Reference, ApiError> {
    let text = match tag {
        "" => name.to_owned(),
        digest if digest.parse::<Digest>().is_ok() => format!("{}@{digest}", without_tag(name)),
        tag => format!("{}:{tag}", without_tag(name)),
    };
    Reference::parse_definite(&text).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// As [`reference()`], where no name is wanted perhaps.
///
/// # Errors
/// When they are none.
pub(crate) fn optional(name: &str, tag: &str) -> Result<Option<Reference>, ApiError> {
    if name.is_empty() {
        return Ok(None);
    }
    reference(name, tag).map(Some)
}

/// Reads a platform; empty: any.
///
/// # Errors
/// When it is none.
pub(crate) fn platform(text: &str) -> Result<Option<Platform>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let platform = text.parse::<Platform>();
    platform
        .map(Some)
        .map_err(|error| ApiError::bad_request(error.to_string()))
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        // A colon before a slash is that of a registry's port.
        Some((before, after)) if !after.contains('/') => before,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_tag_may_be_apart() {
        let text = |name, tag| reference(name, tag).map(|found| found.to_string());
        for (name, tag, wanted) in [
            ("box", "1", "docker.io/library/box:1"),
            ("box:2", "1", "docker.io/library/box:1"),
            ("reg:5000/a", "x", "reg:5000/a:x"),
            ("docker.io/library/box", "", "docker.io/library/box:latest"),
        ] {
            assert_eq!(text(name, tag).expect("valid"), wanted, "{name} {tag}");
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let wanted = format!("docker.io/library/box@{digest}");
        assert_eq!(text("box", &digest).expect("valid"), wanted);
        let error = reference("Box", "").expect_err("upper case");
        assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
        assert!(optional("", "x").expect("none").is_none());
    }
}
