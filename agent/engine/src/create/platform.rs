//! `--platform`: whether an image that is here is the one that is meant.

use berth_agent_images::{Image, Platform};

use super::{CreateError, invalid};
use crate::options::ContainerOptions;

/// Checks that the image is for the platform that was asked for.
pub(super) fn check(options: &ContainerOptions, image: &Image) -> Result<(), CreateError> {
    if options.platform.is_empty() {
        return Ok(());
    }
    let wanted: Platform = options
        .platform
        .parse()
        .map_err(|_not_one| invalid("platform", &options.platform))?;
    let config = &image.config;
    let actual = Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone().unwrap_or_default(),
    };
    if wanted.suitability(&actual).is_some() {
        return Ok(());
    }
    Err(CreateError::Platform {
        image: options.image.clone(),
        wanted: wanted.to_string(),
        actual: actual.to_string(),
    })
}
