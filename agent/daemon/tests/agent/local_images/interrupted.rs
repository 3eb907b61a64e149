//! An agent that is killed while it loads, removes or prunes.

use std::collections::BTreeMap;

use super::archives::pack;
use super::hostile::docker_archive;
use crate::client::IMAGE;
use crate::host::{Host, until};

const FOLDERS: [&str; 4] = [
    "snapshots/layers",
    "snapshots/staging",
    "content/blobs/sha256",
    "content/ingest",
];

/// Returns how many names each of the stores' folders has.
fn counts(host: &Host) -> [usize; 4] {
    FOLDERS.map(|folder| host.names(&format!("data/{folder}")).len())
}

/// Makes an archive of an image with many files.
fn archive(name: &str, seed: u8) -> Vec<u8> {
    let files = (0..800).map(|n| (format!("d{}/f{n}", n % 50), vec![seed; 300]));
    let layer = pack(&files.collect::<BTreeMap<_, _>>());
    docker_archive(&layer, &[name], |_, _| {})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_load_leaves_nothing_at_whatever_step() {
    let mut host = Host::new();
    let bytes = archive("app:1", 1);
    let client = host.client().await;
    client.import().await;
    let before = counts(&host);
    // While it arrives, while it is unpacked, and somewhere in between.
    for step in 0..4 {
        let client = host.client().await;
        let bytes = bytes.clone();
        let load = tokio::spawn(async move { client.load(&bytes).await.map(drop) });
        until("the load has begun", async || {
            let now = counts(&host);
            let done = now[0] > before[0];
            match step {
                0 => now[3] > before[3] || done,
                1 => now[3] > before[3] + 2 || done,
                2 => now[1] > before[1] || done,
                _ => done,
            }
        })
        .await;
        host.kill_agent();
        drop(load.await);
        host.start();
        let client = host.client().await;
        let names = client.image_names(&[], "").await;
        if names.len() > 1 {
            // It was through before it was killed, and is whole.
            let removed = client.rmi("app:1", false).await.expect("removed");
            assert_eq!(removed.len(), 3, "{removed:?}");
        }
        assert_eq!(counts(&host), before, "step {step}");
        assert_eq!(client.sh("echo ok").await.stdout, "ok\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_removal_is_finished_by_the_next_agent() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let before = counts(&host);
    for (round, prunes) in [false, true].into_iter().enumerate() {
        let client = host.client().await;
        client.load(&archive("app:1", 2)).await.expect("loaded");
        let full = counts(&host);
        let removal = tokio::spawn(async move {
            if prunes {
                let filters = ["dangling=false", "label!=x"];
                drop(client.prune_images(&filters).await);
            } else {
                drop(client.rmi("app:1", false).await);
            }
        });
        until("the removal has begun", async || counts(&host) != full).await;
        host.kill_agent();
        drop(removal.await);
        host.start();
        let client = host.client().await;
        if prunes {
            // Whatever it had not come to is still whole.
            drop(
                client
                    .prune_images(&["dangling=false"])
                    .await
                    .expect("pruned"),
            );
            assert_eq!(counts(&host), [0; 4], "round {round}");
            client.import().await;
        } else {
            assert_eq!(client.image_names(&[], "").await, [IMAGE]);
        }
        assert_eq!(counts(&host), before, "round {round}");
        assert_eq!(client.sh("echo ok").await.stdout, "ok\n");
    }
}
