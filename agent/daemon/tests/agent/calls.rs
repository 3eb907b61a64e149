//! More of what a client asks, for tests about the life of containers.

use berth_proto::v1;
use tonic::Status;

use crate::client::Client;

impl Client {
    pub(crate) async fn restart(
        &self,
        container: &str,
        timeout_seconds: i64,
    ) -> Result<(), Status> {
        let request = v1::RestartRequest {
            container: container.to_owned(),
            timeout_seconds: Some(timeout_seconds),
            ..Default::default()
        };
        self.containers.clone().restart(request).await.map(drop)
    }

    pub(crate) async fn pause(&self, container: &str) -> Result<(), Status> {
        let container = container.to_owned();
        let request = v1::PauseRequest { container };
        self.containers.clone().pause(request).await.map(drop)
    }

    pub(crate) async fn unpause(&self, container: &str) -> Result<(), Status> {
        let container = container.to_owned();
        let request = v1::UnpauseRequest { container };
        self.containers.clone().unpause(request).await.map(drop)
    }

    pub(crate) async fn rename(&self, container: &str, new_name: &str) -> Result<(), Status> {
        let request = v1::RenameRequest {
            container: container.to_owned(),
            new_name: new_name.to_owned(),
        };
        self.containers.clone().rename(request).await.map(drop)
    }
}
