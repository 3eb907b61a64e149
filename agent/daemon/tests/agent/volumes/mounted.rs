//! Volumes of which the driver's options say what is mounted in them.

use std::fs;

use tonic::Code;

use super::with_binds;
use crate::client::{Client, command, sh};
use crate::host::{Host, until};

const SLEEP: &[&str] = &["sleep", "60"];

/// Tells what is mounted on a volume of the host.
fn mounts(host: &Host, volume: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/mountinfo", host.holder_pid()));
    let place = format!("/volumes/{volume}/_data ");
    let text = text.expect("mounts");
    let found = text.lines().filter(|line| line.contains(&place));
    let kinds = found.filter_map(|line| line.split(" - ").nth(1)?.split(' ').next());
    kinds.map(str::to_owned).collect()
}

async fn tmpfs(client: &Client) {
    let options = [
        ("type", "tmpfs"),
        ("device", "tmpfs"),
        ("o", "size=1m,uid=7"),
    ];
    client.volume("fast", &[], &options).await.expect("made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_mounted_for_the_first_and_unmounted_after_the_last() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    tmpfs(&client).await;
    assert!(mounts(&host, "fast").is_empty());
    let sleeper = || with_binds(command(SLEEP), &["fast:/fast"]);
    let one = client.run_detached("one", sleeper()).await;
    let two = client.run_detached("two", sleeper()).await;
    assert_eq!(mounts(&host, "fast"), ["tmpfs"], "once for both");
    let script = "echo 1 > /fast/n; ls -ldn /fast; grep ' /fast ' /proc/mounts";
    let ran = client
        .run(with_binds(sh(script), &["fast:/fast"]))
        .await
        .expect("run");
    assert!(ran.stdout.contains(" 7 "), "{}", ran.stdout);
    assert!(ran.stdout.contains("size=1024k"), "{}", ran.stdout);
    assert_eq!(mounts(&host, "fast"), ["tmpfs"]);
    let error = client
        .remove_volume("fast", true)
        .await
        .expect_err("in use");
    assert_eq!(error.code(), Code::FailedPrecondition);
    client.remove(&one, true, false).await.expect("removed");
    assert_eq!(mounts(&host, "fast"), ["tmpfs"]);
    client.stop(&two, 0).await.expect("stopped");
    until("nobody uses it", async || mounts(&host, "fast").is_empty()).await;
    client.start(&two).await.expect("started again");
    assert_eq!(mounts(&host, "fast"), ["tmpfs"]);
    client.remove(&two, true, false).await.expect("removed");
    client.remove_volume("fast", false).await.expect("removed");
    assert!(mounts(&host, "fast").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_known_again_after_a_kill() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    tmpfs(&client).await;
    client
        .volume("idle", &[], &[("type", "tmpfs"), ("device", "tmpfs")])
        .await
        .expect("made");
    let sleeper = |bind| with_binds(command(SLEEP), &[bind]);
    let one = client.run_detached("", sleeper("fast:/v")).await;
    let two = client.run_detached("", sleeper("idle:/v")).await;
    host.kill_agent();
    host.start();
    let client = host.client().await;
    assert_eq!(mounts(&host, "fast"), ["tmpfs"], "it is still in use");
    client.kill(&two, "KILL").await.expect("killed");
    until("the idle one is unmounted", async || {
        mounts(&host, "idle").is_empty()
    })
    .await;
    let error = client
        .remove_volume("fast", true)
        .await
        .expect_err("in use");
    assert_eq!(error.code(), Code::FailedPrecondition);
    client.remove(&one, true, false).await.expect("removed");
    assert!(mounts(&host, "fast").is_empty());
    client.remove_volume("fast", false).await.expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mounted_is_not_the_agents_to_delete() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let own = host.path("own");
    fs::create_dir(&own).expect("folder");
    let device = own.to_str().expect("text");
    let options = [("type", "none"), ("o", "bind"), ("device", device)];
    client.volume("bound", &[], &options).await.expect("made");
    // An empty one is filled from the image, wherever it is.
    let config = with_binds(
        sh("cat /data/from-image; echo 1 > /data/n"),
        &["bound:/data"],
    );
    assert_eq!(client.run(config).await.expect("run").stdout, "seed\n");
    assert_eq!(fs::read_to_string(own.join("n")).expect("file"), "1\n");
    until("it is unmounted", async || {
        mounts(&host, "bound").is_empty()
    })
    .await;
    // Who looks into a container that does not run sees it too, and leaves it as it was.
    let idle = with_binds(command(&["true"]), &["bound:/data"]);
    let idle = client.create("", idle).await.expect("created");
    let look = berth_proto::v1::StatRequest {
        container: idle.clone(),
        path: "/data/n".to_owned(),
    };
    let mut files =
        berth_proto::v1::file_service_client::FileServiceClient::new(client.channel.clone());
    let found = files.stat(look).await.expect("the file").into_inner();
    assert_eq!(found.stat.expect("a file").size_bytes, 2);
    assert!(mounts(&host, "bound").is_empty());
    client.remove(&idle, false, true).await.expect("removed");
    client.remove_volume("bound", false).await.expect("removed");
    assert!(own.join("n").exists() && own.join("from-image").exists());
    // Neither is what somebody else has mounted in a plain one.
    let plain = client.volume("plain", &[], &[]).await.expect("made");
    let inner = format!("{}/inner", plain.mountpoint);
    fs::create_dir(&inner).expect("folder");
    let mounted = host
        .enter("mount")
        .args(["--bind", device, &inner])
        .status();
    assert!(mounted.expect("mount").success());
    let error = client
        .remove_volume("plain", false)
        .await
        .expect_err("busy");
    assert!(
        error.message().contains("something is mounted at"),
        "{error}"
    );
    assert!(own.join("n").exists());
    assert_eq!(client.volume_names(&[]).await.expect("names"), ["plain"]);
    let unmounted = host.enter("umount").arg(&inner).status();
    assert!(unmounted.expect("umount").success());
    client
        .remove_volume("plain", false)
        .await
        .expect("free now");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_begins_with_what_the_image_has_each_time() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    tmpfs(&client).await;
    let look = || with_binds(sh("ls /data; touch /data/own"), &["fast:/data"]);
    for _run in 0..2 {
        assert_eq!(
            client.run(look()).await.expect("run").stdout,
            "from-image\n"
        );
        until("it is unmounted", async || mounts(&host, "fast").is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_fails_says_what_was_tried_and_leaves_nothing() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let options = [
        ("type", "none"),
        ("device", "/nowhere"),
        ("o", "bind,ro,password=secret"),
    ];
    client.volume("broken", &[], &options).await.expect("made");
    let config = with_binds(command(&["true"]), &["broken:/v"]);
    let error = client.create("", config).await.expect_err("no such device");
    let place = host.path("data/volumes/broken/_data");
    let place = place.display();
    assert_eq!(
        error.message(),
        format!(
            "error while mounting volume '{place}': failed to mount local volume: mount \
             /nowhere:{place}, flags: 0x1001, data: password=********: no such file or directory"
        )
    );
    assert!(client.list(&[]).await.expect("list").is_empty());
    client
        .remove_volume("broken", false)
        .await
        .expect("nobody uses it");
}
