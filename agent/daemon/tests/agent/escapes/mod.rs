//! Published ways out of containers, and hostile images and processes, against a whole agent. What
//! concerns the runtime alone is tested in its own room.

mod files;
mod images;
mod processes;
mod rights;

use berth_proto::v1::{self, ContainerConfig, HostConfig};
use tonic::Status;

use crate::client::{Client, Ran, command};
use crate::host::{Host, PATIENCE};
use crate::image::{Odd, busybox_with};

/// Content of a file of the host that no container may see.
const SECRET: &str = "the host's own";

/// Returns a host with a secret file, its client and the secret's path.
async fn host_with_secret() -> (Host, Client, String) {
    let host = Host::new();
    let path = host.path("secret");
    std::fs::write(&path, SECRET).expect("secret");
    let client = host.client().await;
    client.import().await;
    (host, client, path.display().to_string())
}

/// Imports a busybox with odd things in it.
async fn import(client: &Client, reference: &str, odd: &[Odd<'_>]) {
    use v1::import_request::Message;
    let options = v1::ImportOptions {
        reference: reference.to_owned(),
        ..Default::default()
    };
    let message = |message| v1::ImportRequest {
        message: Some(message),
    };
    let mut requests = vec![message(Message::Options(options))];
    for chunk in busybox_with(odd).chunks(64 * 1024) {
        requests.push(message(Message::Chunk(chunk.to_vec())));
    }
    let stream = tokio_stream::iter(requests);
    client.images.clone().import(stream).await.expect("import");
}

/// Runs a container and panics when it hangs.
async fn run(client: &Client, config: ContainerConfig) -> Result<Ran, Status> {
    tokio::time::timeout(PATIENCE, client.run(config))
        .await
        .expect("an end in time")
}

/// Runs a further command and panics when it hangs.
async fn exec(client: &Client, options: v1::ExecOptions) -> Result<Ran, Status> {
    tokio::time::timeout(PATIENCE, client.exec(options, b""))
        .await
        .expect("an end in time")
}

fn words(container: &str, words: &[&str]) -> v1::ExecOptions {
    v1::ExecOptions {
        container: container.to_owned(),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Default::default()
    }
}

/// Returns a container of an image that runs a script and goes away.
fn script(image: &str, script: &str, host: HostConfig) -> ContainerConfig {
    ContainerConfig {
        image: image.to_owned(),
        host: Some(HostConfig {
            auto_remove: true,
            ..host
        }),
        ..command(&["sh", "-c", script])
    }
}
