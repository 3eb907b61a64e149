//! The request that `run` and `create` make.

use berth_proto::v1::{ContainerConfig, CreateRequest};

use super::options::{Attached, ContainerOptions};
use crate::failure::Failure;

/// Makes the request for a container of `image` that is going to be attached to as `attached`.
pub(super) fn new(
    options: &ContainerOptions,
    image: &str,
    command: &[String],
    attached: Attached,
) -> Result<CreateRequest, Failure> {
    options.pull()?;
    let config = ContainerConfig {
        image: image.to_owned(),
        command: command.to_vec(),
        ..options.config(attached)?
    };
    Ok(CreateRequest {
        name: options.name.clone().unwrap_or_default(),
        config: Some(config),
        platform: options.platform.clone().unwrap_or_default(),
    })
}
