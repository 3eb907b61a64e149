//! Archives that lie, and archives that want too much.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::Code;

use super::archives::pack;
use crate::host::Host;

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Makes an archive of one image with one layer, after somebody has changed its lists.
pub(super) fn docker_archive(
    layer: &[u8],
    names: &[&str],
    change: impl FnOnce(&mut Value, &mut Value),
) -> Vec<u8> {
    let mut config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest(layer)] },
        "history": [{ "created_by": "somebody" }],
    });
    let mut manifest =
        json!([{ "Config": "config.json", "RepoTags": names, "Layers": ["l/layer.tar"] }]);
    change(&mut manifest, &mut config);
    let files = BTreeMap::from([
        ("config.json".to_owned(), config.to_string().into_bytes()),
        ("l/layer.tar".to_owned(), layer.to_vec()),
        (
            "manifest.json".to_owned(),
            manifest.to_string().into_bytes(),
        ),
    ]);
    pack(&files)
}

fn small_layer() -> Vec<u8> {
    pack(&BTreeMap::from([("f".to_owned(), b"1".to_vec())]))
}

/// Returns a tar with one odd member before a good image.
fn with_member(kind: tar::EntryType, path: &str, link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    let mut tar = tar::Builder::new(Vec::new());
    match link {
        "" => tar.append_data(&mut header, path, std::io::empty()),
        link => tar.append_link(&mut header, path, link),
    }
    .expect("member");
    let mut bytes = tar.into_inner().expect("archive");
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(docker_archive(&small_layer(), &["a:1"], |_, _| {}));
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_lie_are_refused_and_leave_nothing() {
    let host = Host::new();
    let client = host.client().await;
    let layer = small_layer();
    let changed = |change: fn(&mut Value, &mut Value)| docker_archive(&layer, &["a:1"], change);
    let mut cut = changed(|_, _| {});
    cut.truncate(700);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "cannot read the archive",
            b"no archive at all, but long enough".repeat(40),
        ),
        ("cannot read the archive", cut),
        (
            "invalid diffID for layer",
            changed(|_, c| c["rootfs"]["diff_ids"][0] = json!(digest(b"x"))),
        ),
        (
            "layers length mismatch",
            changed(|m, _| m[0]["Layers"] = json!([])),
        ),
        (
            "\"gone.json\" is missing",
            changed(|m, _| m[0]["Config"] = json!("gone.json")),
        ),
        (
            "\"../../etc/passwd\" is missing",
            changed(|m, _| m[0]["Config"] = json!("../../etc/passwd")),
        ),
        (
            "\"l/x\" is missing",
            changed(|m, _| m[0]["Layers"] = json!(["l/x"])),
        ),
        (
            "cannot load windows image on linux",
            changed(|_, c| c["os"] = json!("windows")),
        ),
        (
            "invalid tag \"A B\"",
            changed(|m, _| m[0]["RepoTags"] = json!(["A B"])),
        ),
        (
            "manifest.json makes no sense",
            changed(|m, _| *m = json!({"a": 1})),
        ),
        (
            "makes no sense",
            changed(|_, c| c["rootfs"]["diff_ids"] = json!("many")),
        ),
        (
            "too many layers",
            changed(|m, c| {
                let id = c["rootfs"]["diff_ids"][0].clone();
                c["rootfs"]["diff_ids"] = json!(vec![id; 126]);
                m[0]["Layers"] = json!(vec!["l/layer.tar"; 126]);
            }),
        ),
        (
            "is neither a file nor a folder",
            with_member(tar::EntryType::Fifo, "p", ""),
        ),
        (
            "leads out of the archive",
            with_member(tar::EntryType::Symlink, "p", "../../etc/passwd"),
        ),
    ];
    for (expected, archive) in cases {
        let error = client.load(&archive).await.expect_err(expected);
        assert!(error.message().contains(expected), "{expected:?}: {error}");
        assert_eq!(error.code(), Code::InvalidArgument, "{expected:?}: {error}");
    }
    assert!(client.image_list(&[], "").await.expect("list").is_empty());
    for folder in [
        "snapshots/layers",
        "snapshots/staging",
        "content/blobs/sha256",
        "content/ingest",
    ] {
        assert!(host.names(&format!("data/{folder}")).is_empty(), "{folder}");
    }
    client
        .load(&changed(|_, _| {}))
        .await
        .expect("the honest one");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_an_archive_lead_to_its_own_members() {
    let host = Host::new();
    let client = host.client().await;
    let layer = small_layer();
    let link = |target: &str| {
        let mut bytes = docker_archive(&layer, &["a:1"], |m, _| {
            m[0]["Layers"] = json!(["k/layer.tar"]);
        });
        bytes.truncate(bytes.len() - 1024);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_link(&mut header, "k/layer.tar", target)
            .expect("member");
        bytes.extend(tar.into_inner().expect("archive"));
        bytes
    };
    client
        .load(&link("../l/layer.tar"))
        .await
        .expect("as old archives have it");
    client.rmi("a:1", false).await.expect("removed");
    let error = client
        .load(&link("layer.tar"))
        .await
        .expect_err("round and round");
    assert!(
        error.message().contains("is a link without an end"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_a_load_and_frees_what_it_took() {
    let host = Host::with_data_on_tmpfs("size=24m");
    let client = host.client().await;
    let noise: Vec<u8> = (0_u32..5_000_000)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let layer = pack(&BTreeMap::from([("f".to_owned(), noise)]));
    // Once to keep, once unpacked, and once more is too much.
    let big = pack(&BTreeMap::from([("f".to_owned(), vec![7; 30_000_000])]));
    let error = client
        .load(&docker_archive(&big, &["big:1"], |_, _| {}))
        .await
        .expect_err("full");
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert!(error.message().contains("no space left"), "{error}");
    client
        .load(&docker_archive(&layer, &["small:1"], |_, _| {}))
        .await
        .expect("there is room");
    assert_eq!(client.image_names(&[], "").await, ["small:1"]);
}
