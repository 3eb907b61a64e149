//! OCI images, made of tars in memory.

use std::io::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Entry, tarball};

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
    Plain,
}

/// A layer.
#[derive(Clone, Debug)]
pub struct Layer {
    tar: Vec<u8>,
    packing: Packing,
}

/// A platform of a manifest list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Go's name, such as `amd64`.
    pub architecture: &'static str,
    /// Go's name, such as `linux`.
    pub os: &'static str,
}

/// An image: what a registry holds of it, by digest.
#[derive(Clone, Debug)]
pub struct Image {
    /// Blobs by digest: config and layers.
    pub blobs: Vec<(String, Vec<u8>)>,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its media type.
    pub media_type: &'static str,
}

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

// === impl Layer ===

impl Layer {
    /// A layer of some entries, packed with gzip.
    #[must_use]
    pub fn new(entries: &[Entry]) -> Self {
        Self::from_tar(tarball(entries))
    }

    /// A layer of a tar, packed with gzip.
    #[must_use]
    pub fn from_tar(tar: Vec<u8>) -> Self {
        Self {
            tar,
            packing: Packing::Gzip,
        }
    }

    /// The same, packed with zstd.
    #[must_use]
    pub fn zstd(self) -> Self {
        Self {
            packing: Packing::Zstd,
            ..self
        }
    }

    /// The same, not packed.
    #[must_use]
    pub fn plain(self) -> Self {
        Self {
            packing: Packing::Plain,
            ..self
        }
    }

    /// Returns the tar.
    #[must_use]
    pub fn tar(&self) -> &[u8] {
        &self.tar
    }

    fn packed(&self) -> (Vec<u8>, &'static str) {
        match self.packing {
            Packing::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&self.tar).expect("memory takes all");
                (
                    encoder.finish().expect("memory takes all"),
                    "application/vnd.oci.image.layer.v1.tar+gzip",
                )
            }
            Packing::Zstd => (
                zstd::encode_all(self.tar.as_slice(), 1).expect("memory takes all"),
                "application/vnd.oci.image.layer.v1.tar+zstd",
            ),
            Packing::Plain => (self.tar.clone(), "application/vnd.oci.image.layer.v1.tar"),
        }
    }
}

/// Returns a root filesystem with Debian's static busybox under all its names.
///
/// # Panics
///
/// When the package busybox-static is missing.
#[must_use]
pub fn busybox_layer() -> Layer {
    let program = std::fs::read("/bin/busybox").expect("the package busybox-static");
    let list = std::process::Command::new("/bin/busybox")
        .arg("--list")
        .output();
    let list = list.expect("busybox runs");
    let mut entries: Vec<Entry> = ["bin", "dev", "etc", "proc", "sys", "root", "var", "www"]
        .map(Entry::directory)
        .into();
    entries.push(Entry::directory("tmp").mode(0o1777));
    entries.push(Entry::file("bin/busybox", program).mode(0o755));
    entries.push(Entry::file(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n",
    ));
    entries.push(Entry::file(
        "etc/group",
        "root:x:0:\nuser:x:1000:\nstaff:x:50:user\n",
    ));
    for name in String::from_utf8_lossy(&list.stdout)
        .lines()
        .filter(|name| *name != "busybox")
    {
        entries.push(Entry::symlink(&format!("bin/{name}"), "busybox"));
    }
    Layer::new(&entries)
}

// === impl Image ===

impl Image {
    /// An image of some layers, lowest first, for this machine's platform.
    #[must_use]
    pub fn new(layers: &[Layer]) -> Self {
        Self::with_config(layers, &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }))
    }

    /// The same with the `config` object of its configuration.
    #[must_use]
    pub fn with_config(layers: &[Layer], config: &Value) -> Self {
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(&layer.tar)).collect();
        let document = json!({
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let document = document.to_string().into_bytes();
        let mut blobs = vec![(digest(&document), document)];
        let mut descriptors = Vec::new();
        for layer in layers {
            let (packed, media_type) = layer.packed();
            descriptors.push(
                json!({ "mediaType": media_type, "digest": digest(&packed), "size": packed.len() }),
            );
            blobs.push((digest(&packed), packed));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": { "mediaType": OCI_CONFIG, "digest": blobs[0].0, "size": blobs[0].1.len() },
            "layers": descriptors,
        });
        Self {
            blobs,
            manifest: manifest.to_string().into_bytes(),
            media_type: OCI_MANIFEST,
        }
    }

    /// Returns the digest of the manifest.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
