//! What a client says of a new container, in the API's shape, and its translation.

mod config;
mod host;
mod mount;
mod network;
mod resources;

pub(super) use config::ContainerConfig;
pub(super) use host::RestartPolicy;
pub(crate) use network::EndpointSettings;
pub(super) use resources::Resources;
