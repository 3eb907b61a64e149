//! Images put into a registry piece by piece, so that they can be as strange as needed.

use std::io::Write as _;

use berth_agent_images::Digest;
use serde_json::{Value, json};

use super::registry::Registry;

pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layer as it travels.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) diff_id: Digest,
    pub(crate) blob: Vec<u8>,
    pub(crate) docker_type: &'static str,
    pub(crate) oci_type: &'static str,
}

/// An image in a registry.
pub(crate) struct Seeded {
    pub(crate) config: Digest,
    pub(crate) manifest: Digest,
    pub(crate) manifest_size: usize,
    pub(crate) platform: Value,
}

/// Which names the formats have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Docker,
    Oci,
}

/// Makes a tar of files with the given content.
pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_000_000_000);
        builder
            .append_data(&mut header, path, *content)
            .expect("member");
    }
    builder.into_inner().expect("archive")
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compress");
    encoder.finish().expect("compress")
}

/// Content that does not become smaller, always the same for the same seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

impl Layer {
    pub(crate) fn gzip(tar: &[u8]) -> Self {
        Self::compressed(tar, gzip(tar))
    }

    pub(crate) fn compressed(tar: &[u8], blob: Vec<u8>) -> Self {
        Self {
            diff_id: Digest::of(tar),
            blob,
            docker_type: "application/vnd.docker.image.rootfs.diff.tar.gzip",
            oci_type: "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }

    pub(crate) fn zstd(tar: &[u8]) -> Self {
        Self {
            oci_type: "application/vnd.oci.image.layer.v1.tar+zstd",
            ..Self::compressed(tar, zstd::encode_all(tar, 3).expect("compress"))
        }
    }

    pub(crate) fn plain(tar: &[u8]) -> Self {
        Self {
            docker_type: "application/vnd.docker.image.rootfs.diff.tar",
            oci_type: "application/vnd.oci.image.layer.v1.tar",
            ..Self::compressed(tar, tar.to_vec())
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.blob)
    }
}

/// Returns configuration and manifest of an image of these layers.
pub(crate) fn documents(layers: &[Layer], format: Format, architecture: &str) -> (String, String) {
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin/sh"], "Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>()},
        "history": layers.iter().map(|_| json!({"created_by": "test"})).collect::<Vec<_>>(),
    })
    .to_string();
    let (own, config_type) = match format {
        Format::Docker => (
            DOCKER_MANIFEST,
            "application/vnd.docker.container.image.v1+json",
        ),
        Format::Oci => (OCI_MANIFEST, "application/vnd.oci.image.config.v1+json"),
    };
    let layers = layers.iter().map(|layer| {
        let kind = match format {
            Format::Docker => layer.docker_type,
            Format::Oci => layer.oci_type,
        };
        json!({"mediaType": kind, "size": layer.blob.len(), "digest": layer.digest().to_string()})
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": own,
        "config": {"mediaType": config_type, "size": config.len(), "digest": Digest::of(config.as_bytes()).to_string()},
        "layers": layers.collect::<Vec<_>>(),
    })
    .to_string();
    (config, manifest)
}

impl Registry {
    pub(crate) async fn put_blob(&self, repository: &str, bytes: &[u8]) {
        let client = reqwest_client();
        let begin = format!("http://{}/v2/{repository}/blobs/uploads/", self.address);
        let response = client.post(begin).send().await.expect("begin");
        let location = response.headers()["location"].to_str().expect("location");
        let mut address = reqwest::Url::parse(location).expect("address");
        let digest = Digest::of(bytes);
        address
            .query_pairs_mut()
            .append_pair("digest", digest.as_str());
        let response = client
            .put(address)
            .body(bytes.to_vec())
            .send()
            .await
            .expect("put");
        assert_eq!(response.status(), 201);
    }

    pub(crate) async fn put_manifest(&self, repository: &str, name: &str, kind: &str, text: &str) {
        let address = format!("http://{}/v2/{repository}/manifests/{name}", self.address);
        let request = reqwest_client().put(address).header("content-type", kind);
        let response = request.body(text.to_owned()).send().await.expect("put");
        assert_eq!(
            response.status(),
            201,
            "{}",
            response.text().await.expect("text")
        );
    }

    /// Puts an image under `repository:tag`.
    pub(crate) async fn seed(&self, repository: &str, tag: &str, layers: &[Layer]) -> Seeded {
        self.seed_as(repository, tag, layers, Format::Docker, "amd64")
            .await
    }

    pub(crate) async fn seed_as(
        &self,
        repository: &str,
        tag: &str,
        layers: &[Layer],
        format: Format,
        architecture: &str,
    ) -> Seeded {
        let (config, manifest) = documents(layers, format, architecture);
        for layer in layers {
            self.put_blob(repository, &layer.blob).await;
        }
        self.put_blob(repository, config.as_bytes()).await;
        let kind = if format == Format::Oci {
            OCI_MANIFEST
        } else {
            DOCKER_MANIFEST
        };
        self.put_manifest(repository, tag, kind, &manifest).await;
        Seeded {
            config: Digest::of(config.as_bytes()),
            manifest: Digest::of(manifest.as_bytes()),
            manifest_size: manifest.len(),
            platform: json!({"os": "linux", "architecture": architecture}),
        }
    }
}

pub(crate) fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("client")
}
