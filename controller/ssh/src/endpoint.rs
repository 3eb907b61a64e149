//! Where a host is and how to get there.

use std::path::PathBuf;

use crate::HostConfig;

/// Where to connect and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// The private key; `None` for what the configuration names, the agent and the usual keys.
    pub key: Option<PathBuf>,
    /// The name under which the operator knows the host, where it is another.
    pub alias: Option<String>,
    /// The way there.
    pub via: Via,
    /// What else the operator's configuration says.
    pub config: HostConfig,
}

/// The way to a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// Straight.
    #[default]
    Direct,
    /// Through another host, which has a way of its own.
    Jump(Box<Endpoint>),
    /// Through the streams of a command.
    Command(String),
}

impl Endpoint {
    /// Returns host and port as one text.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Returns the name under which the host's key is known.
    #[must_use]
    pub(crate) fn key_name(&self) -> &str {
        let alias = self.config.key_alias.as_deref();
        alias.unwrap_or(&self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ip_version_6_get_brackets() {
        let endpoint = |host: &str| Endpoint {
            host: host.to_owned(),
            port: 22,
            ..Endpoint::default()
        };
        assert_eq!(endpoint("::1").address(), "[::1]:22");
        assert_eq!(endpoint("fe80::1%eth0").address(), "[fe80::1%eth0]:22");
        assert_eq!(endpoint("host").address(), "host:22");
    }
}
