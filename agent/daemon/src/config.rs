//! The configuration file, JSON. Everything has a default; unknown keys are ignored, so that an older
//! agent reads a newer file.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

/// Where the configuration is unless told otherwise.
pub(crate) const USUAL: &str = "/etc/berth/berthd.json";

/// What the file says.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// TCP addresses to serve on; needs `tls`.
    pub(crate) listen: Vec<SocketAddr>,
    /// Files with certificates and keys.
    pub(crate) tls: Option<TlsConfig>,
    /// Unix socket for local use; empty: none.
    pub(crate) socket: PathBuf,
    /// What survives the machine's boot.
    pub(crate) data_root: PathBuf,
    /// What does not.
    pub(crate) run_root: PathBuf,
    /// Registries that may be spoken to without trusted TLS.
    pub(crate) insecure_registries: Vec<String>,
    /// Mirrors of Docker's own registry.
    pub(crate) registry_mirrors: Vec<String>,
    /// Labels of this engine.
    pub(crate) labels: Vec<String>,
    /// OCI runtime of containers that ask for none; empty: berth's own.
    pub(crate) default_runtime: String,
    /// Name of the bridge; empty: `berth0`.
    pub(crate) bridge: String,
    /// Subnet of the bridge, `address/bits`; empty: one that is free.
    pub(crate) subnet: String,
    /// Where subnets of networks come from; empty: Docker's.
    pub(crate) default_address_pools: Vec<AddressPool>,
    /// What is logged: `trace`, `debug`, `info`, `warn` or `error`; empty: `info`.
    pub(crate) log_level: String,
    /// Limits of containers, `name=soft[:hard]`.
    pub(crate) default_ulimits: Vec<String>,
    /// Name servers of containers that ask for none.
    pub(crate) dns: Vec<String>,
    /// Size of `/dev/shm` of containers that ask for none, in bytes; 0: 64 MiB.
    pub(crate) default_shm_size: u64,
    /// Whether containers get a small init.
    pub(crate) init: bool,
    /// Whether no container may gain rights.
    pub(crate) no_new_privileges: bool,
}

/// A range that subnets of networks come from.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AddressPool {
    /// The range, `address/bits`.
    pub(crate) base: String,
    /// Bits of the subnets.
    pub(crate) size: u8,
}

/// Files with certificates and keys, PEM.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TlsConfig {
    /// Authority of clients.
    pub(crate) ca: PathBuf,
    /// Certificate of this machine, with those between it and the authority.
    pub(crate) cert: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls: None,
            socket: PathBuf::from("/run/berth/berthd.sock"),
            data_root: PathBuf::from("/var/lib/berth"),
            run_root: PathBuf::from("/run/berth"),
            insecure_registries: Vec::new(),
            registry_mirrors: Vec::new(),
            labels: Vec::new(),
            default_runtime: String::new(),
            bridge: String::new(),
            subnet: String::new(),
            default_address_pools: Vec::new(),
            log_level: String::new(),
            default_ulimits: Vec::new(),
            dns: Vec::new(),
            default_shm_size: 0,
            init: false,
            no_new_privileges: false,
        }
    }
}

impl Config {
    /// Reads a file. The usual one need not exist: a unix socket and no TCP are served then.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).with_context(|| format!("configuration file {}", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && path == Path::new(USUAL) => {
                Ok(Self::default())
            }
            Err(error) => {
                Err(error).with_context(|| format!("reading configuration {}", path.display()))
            }
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = serde_json::from_str(text)?;
        if !config.listen.is_empty() && config.tls.is_none() {
            anyhow::bail!("\"listen\" without \"tls\": TCP is served with certificates only");
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_say_little_and_unknown_things() {
        let config = Config::parse(r#"{"labels":["a=b"],"later":1}"#).expect("valid");
        assert_eq!(config.labels, ["a=b"]);
        assert_eq!(config.data_root, Path::new("/var/lib/berth"));
    }

    #[test]
    fn tcp_without_certificates_is_refused() {
        let error = Config::parse(r#"{"listen":["0.0.0.0:2376"]}"#).expect_err("no certificates");
        assert!(error.to_string().contains("tls"));
    }
}
