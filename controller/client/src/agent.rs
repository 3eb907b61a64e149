//! One connected agent.

use berth_proto::v1::build_service_client::BuildServiceClient;
use berth_proto::v1::container_service_client::ContainerServiceClient;
use berth_proto::v1::image_service_client::ImageServiceClient;
use berth_proto::v1::security_service_client::SecurityServiceClient;
use berth_proto::v1::system_service_client::SystemServiceClient;
use berth_proto::{MAX_MESSAGE_BYTES, v1};
use tonic::transport::Channel;

use crate::route::Fault;

/// Which way an agent is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight to its port.
    Direct,
    /// Through SSH to its unix socket.
    TunnelToSocket,
    /// Through SSH to its port, for users that may not open the socket.
    TunnelToPort,
}

/// One connected agent; clones share the connection.
#[derive(Clone, Debug)]
pub struct Agent {
    channel: Channel,
    route: Route,
    fault: Fault,
}

impl Agent {
    pub(crate) fn new(channel: Channel, route: Route, fault: Fault) -> Self {
        Self {
            channel,
            route,
            fault,
        }
    }

    /// Returns what has gone wrong first on the connection, if anything has.
    ///
    /// A call whose connection breaks may only say that it was closed; this says why, such as that
    /// the agent does not accept our certificate.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.fault.text()
    }

    /// Returns which way the agent is reached.
    #[must_use]
    pub fn route(&self) -> Route {
        self.route
    }

    /// Returns the channel that all services share.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Returns a client for what the agent says of itself.
    #[must_use]
    pub fn system(&self) -> SystemServiceClient<Channel> {
        SystemServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Returns a client for containers.
    #[must_use]
    pub fn containers(&self) -> ContainerServiceClient<Channel> {
        ContainerServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Returns a client for images.
    #[must_use]
    pub fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Returns a client for builds.
    #[must_use]
    pub fn build(&self) -> BuildServiceClient<Channel> {
        BuildServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Returns a client for certificates and who is let in.
    #[must_use]
    pub fn security(&self) -> SecurityServiceClient<Channel> {
        SecurityServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Asks the agent for its version; also the proof that it answers.
    ///
    /// # Errors
    ///
    /// The agent's status, or the transport's.
    pub async fn version(&self) -> Result<v1::VersionResponse, tonic::Status> {
        Ok(self
            .system()
            .version(v1::VersionRequest {})
            .await?
            .into_inner())
    }
}
