//! One more thing that clients of the mix do: networks, with containers that come and go on them.

use berth_proto::v1;
use tonic::Status;

use crate::client::command;
use crate::robust::mix::{COUNTER, Worker};

impl Worker {
    /// Makes a network, runs a container on it, connects it to a second one and disconnects it.
    pub(crate) async fn networks(&self) -> Result<(), Status> {
        let (first, second) = (self.name("network"), self.name("network"));
        let name = self.name("networked");
        let mut api = self.client.networks();
        for network in [&first, &second] {
            let request = v1::CreateNetworkRequest {
                name: network.clone(),
                ..Default::default()
            };
            api.create(request).await?;
        }
        let mut config = command(&["sh", "-c", COUNTER]);
        config.host.get_or_insert_default().network_mode = first.clone();
        self.create(&name, config).await?;
        self.start(&name).await?;
        let asked = self.exec(&name, &["busybox", "nslookup", &name]).await?;
        self.check(asked.stdout.contains("Address: 1"), || {
            format!("{name} does not find itself: {asked:?}")
        });
        let connect = v1::ConnectNetworkRequest {
            container: name.clone(),
            endpoint: Some(v1::EndpointConfig {
                network: second.clone(),
                ..Default::default()
            }),
        };
        api.connect_container(connect).await?;
        let seen = self.exec(&name, &["ls", "/sys/class/net"]).await?;
        self.check(seen.stdout.contains("eth1"), || {
            format!("{name} has {seen:?}")
        });
        let disconnect = v1::DisconnectNetworkRequest {
            container: name.clone(),
            network: first.clone(),
        };
        api.disconnect_container(disconnect).await?;
        self.remove(&name).await?;
        for network in [first, second] {
            api.remove(v1::RemoveNetworkRequest { network }).await?;
        }
        Ok(())
    }
}
