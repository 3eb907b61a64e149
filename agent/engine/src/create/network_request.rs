//! Turns network options into what is asked of the network.

use std::net::IpAddr;

use berth_agent_network::{
    AttachRequest, Attachment, HostPort, NetworkMode, PortRequest, Protocol,
};

use crate::container::record::{ContainerRecord, PublishedRecord};
use crate::options::mode::neighbour;
use crate::options::{ContainerOptions, HostOptions, PortBinding};

/// Ports or the kind of network are wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// A network that does not exist.
    #[error("network {0} not found")]
    Network(String),
    /// Not `port[/proto]`.
    #[error("invalid containerPort: {0}")]
    Port(String),
    /// Not an address.
    #[error("invalid IP address: {0}")]
    Address(String),
    /// The range ends before it begins.
    #[error("invalid range format for host port: {first}-{last}")]
    Range {
        /// Its first port.
        first: u16,
        /// Its last port.
        last: u16,
    },
}

/// Checks what is asked of ports.
pub(crate) fn check(options: &ContainerOptions, exposed: &[String]) -> Result<(), PortError> {
    of_host(&options.host, exposed).map(drop)
}

/// Returns the request of a container that exists, without its places on networks.
pub(crate) fn of_record(record: &ContainerRecord) -> Result<AttachRequest, PortError> {
    let config = &record.config;
    let mut request = of_host(&record.host, &config.exposed_ports)?;
    if config.network_disabled {
        request.mode = NetworkMode::None;
    }
    Ok(request)
}

/// Returns the ports that are published.
pub(crate) fn published(attachment: &Attachment) -> Vec<PublishedRecord> {
    let ports = attachment.ports.iter().map(|port| PublishedRecord {
        host_ip: port.host_ip.to_string(),
        host_port: port.host_port,
        container_port: port.container_port,
        protocol: port.protocol.to_string(),
    });
    ports.collect()
}

/// Returns the request of options that say nothing of single networks.
pub(crate) fn of_host(host: &HostOptions, exposed: &[String]) -> Result<AttachRequest, PortError> {
    let mode = mode(&host.network_mode);
    let mut ports = host
        .port_bindings
        .iter()
        .map(port)
        .collect::<Result<Vec<_>, _>>()?;
    for text in exposed {
        for number in exposed_ports(text)? {
            let is_bound = ports
                .iter()
                .any(|p| p.container_port == number.0 && p.protocol == number.1);
            if host.publish_all_ports && !is_bound {
                ports.push(PortRequest {
                    host_ip: None,
                    host_port: HostPort::Any,
                    container_port: number.0,
                    protocol: number.1,
                });
            }
        }
    }
    Ok(AttachRequest {
        mode,
        ports,
        ..AttachRequest::default()
    })
}

/// Reads the kind of network.
fn mode(text: &str) -> NetworkMode {
    match text {
        // Who shares the network of another has none of its own.
        "none" => NetworkMode::None,
        shared if neighbour(shared).is_some() => NetworkMode::None,
        "host" => NetworkMode::Host,
        _ => NetworkMode::Bridge,
    }
}

fn port(binding: &PortBinding) -> Result<PortRequest, PortError> {
    let host_ip = match binding.host_ip.as_str() {
        "" => None,
        text => Some(
            text.parse::<IpAddr>()
                .map_err(|_not_one| PortError::Address(text.to_owned()))?,
        ),
    };
    let host_port = match (binding.host_port, binding.host_port_last) {
        (0, _) => HostPort::Any,
        (first, 0) => HostPort::Exactly(first),
        (first, last) if first == last => HostPort::Exactly(first),
        (first, last) if first < last => HostPort::Within { first, last },
        (first, last) => return Err(PortError::Range { first, last }),
    };
    if binding.container_port == 0 {
        return Err(PortError::Port("0".to_owned()));
    }
    Ok(PortRequest {
        host_ip,
        host_port,
        container_port: binding.container_port,
        protocol: protocol(&binding.protocol)?,
    })
}

fn protocol(text: &str) -> Result<Protocol, PortError> {
    let text = if text.is_empty() { "tcp" } else { text };
    text.parse()
        .map_err(|_unknown| PortError::Port(text.to_owned()))
}

/// Reads `80`, `80/udp` or `8000-8010/tcp`.
pub(crate) fn exposed_ports(text: &str) -> Result<Vec<(u16, Protocol)>, PortError> {
    let wrong = || PortError::Port(text.to_owned());
    let (numbers, name) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = name.parse::<Protocol>().map_err(|_unknown| wrong())?;
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| text.parse::<u16>().ok().filter(|n| *n > 0);
    let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
    if first > last {
        return Err(wrong());
    }
    Ok((first..=last).map(|number| (number, protocol)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_exposed_ports_are_published_once() {
        let host = HostOptions {
            publish_all_ports: true,
            port_bindings: vec![PortBinding {
                container_port: 80,
                host_port: 8080,
                ..Default::default()
            }],
            ..HostOptions::default()
        };
        let exposed = ["80/tcp".to_owned(), "53/udp".to_owned()];
        let request = of_host(&host, &exposed).expect("valid");
        let ports: Vec<_> = request
            .ports
            .iter()
            .map(|p| (p.container_port, p.host_port))
            .collect();
        assert_eq!(ports, [(80, HostPort::Exactly(8080)), (53, HostPort::Any)]);
    }

    #[test]
    fn wrong_ports_are_refused() {
        for text in ["", "x", "0", "70000", "2-1", "80/xyz", "-1"] {
            assert!(exposed_ports(text).is_err(), "{text}");
        }
        assert_eq!(exposed_ports("5-6/udp").expect("range").len(), 2);
        assert_eq!(mode("mine"), NetworkMode::Bridge);
        assert_eq!(mode("container:web"), NetworkMode::None);
    }
}
