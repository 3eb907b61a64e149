//! What everything takes on the disk, and what the engine says of itself.

use berth_proto::v1::{DiskUsageRequest, DiskUsageResponse, HostConfig, InfoRequest};

use crate::client::{Client, IMAGE, command};
use crate::host::Host;

async fn usage(client: &Client) -> DiskUsageResponse {
    let answer = client.system.clone().disk_usage(DiskUsageRequest {}).await;
    answer.expect("usage").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_counted_once_and_to_those_who_need_it() {
    let host = Host::new();
    let client = host.client().await;
    assert_eq!(usage(&client).await, DiskUsageResponse::default());
    client.import().await;
    let alone = usage(&client).await;
    assert_eq!(alone.images[0].shared_size_bytes, Some(0));
    assert_eq!(alone.layers_size_bytes, alone.images[0].size_bytes);
    let request = berth_proto::v1::TagRequest {
        source: IMAGE.to_owned(),
        target: "two:1".to_owned(),
    };
    client.images.clone().tag(request).await.expect("tagged");
    let mut config = command(&["sh", "-c", "head -c 5000 /bin/busybox > /f; cat /f > /v/g"]);
    config.host = Some(HostConfig {
        binds: vec!["data:/v".to_owned()],
        ..Default::default()
    });
    let id = client.create("", config).await.expect("created");
    let exited = client.wait(&id, berth_proto::v1::wait_request::Condition::NextExit);
    let exited = exited.await.expect("a wait");
    client.start(&id).await.expect("started");
    exited.await;
    let now = usage(&client).await;
    assert_eq!(now.images.len(), 1, "two names are one image");
    assert_eq!(now.images[0].containers, 1);
    assert_eq!(now.containers[0].size_rw_bytes, 5000);
    let volume = &now.volumes[0];
    assert_eq!((volume.size_bytes, volume.containers), (5000, 1));
    // A second image above the first shares all of it.
    let commit = berth_proto::v1::CommitRequest {
        container: id.clone(),
        reference: "grown:1".to_owned(),
        ..Default::default()
    };
    let mut files =
        berth_proto::v1::file_service_client::FileServiceClient::new(client.channel.clone());
    files.commit(commit).await.expect("committed");
    let both = usage(&client).await;
    assert_eq!(both.layers_size_bytes, alone.layers_size_bytes + 5000);
    let shared: Vec<Option<u64>> = both.images.iter().map(|i| i.shared_size_bytes).collect();
    assert_eq!(shared, [Some(alone.layers_size_bytes); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_knows_what_it_has() {
    let host = Host::with_config(serde_json::json!({ "registry_mirrors": ["http://m:5000"] }));
    let client = host.client().await;
    let info = client
        .system
        .clone()
        .info(InfoRequest {})
        .await
        .expect("info");
    let info = info.into_inner();
    assert_eq!(info.logging_driver, "json-file");
    assert_eq!(info.volume_drivers, ["local"]);
    assert_eq!(info.registry_mirrors, ["http://m:5000"]);
    let status: Vec<&str> = info.driver_status.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(status[0], "Backing Filesystem");
    assert!(info.n_file_descriptors > 3 && info.n_threads > 1);
    assert!(info.system_time.expect("a time").seconds > 1_700_000_000);
    let kernel = info.kernel_features.expect("features");
    assert!(kernel.pids || kernel.memory, "{kernel:?}");
}
