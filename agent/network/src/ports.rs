//! The machine's ports that containers publish: finding free ones and keeping others from them.
//!
//! Packets for a published port never reach a socket of the machine. A socket is bound all the same
//! while the port is published, so that the kernel refuses it to every other program, and so that
//! a port that some program uses already is found out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, getsockname,
    listen, setsockopt, socket, sockopt,
};

use crate::{AttachError, HostPort, PortRequest, Protocol, PublishedPort};

/// A port of the machine that is ours as long as the value lives.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) port: PublishedPort,
    _socket: OwnedFd,
}

/// What the container that ports are published for can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// It is reached by IPv4 and by IPv6.
    pub(crate) has_ipv4: bool,
    pub(crate) has_ipv6: bool,
    /// Address of the machine that stands for all of them.
    pub(crate) default_ip: Option<IpAddr>,
}

/// Tries to find one port that is free on all addresses so often.
const ATTEMPTS: usize = 16;

/// Reserves all ports or none.
pub(crate) fn reserve_all(
    requests: &[PortRequest],
    target: Target,
) -> Result<Vec<Reservation>, AttachError> {
    let mut all = Vec::new();
    for request in requests {
        all.extend(reserve(request, target)?);
    }
    Ok(all)
}

/// Reserves ports that are already published. One that another program has meanwhile stays published,
/// as the container's packets do not ask for the socket.
pub(crate) fn reserve_quietly(id: &str, ports: &[PublishedPort]) -> Vec<Reservation> {
    let reserve = |port| {
        reserve_again(port)
            .inspect_err(|error| tracing::warn!(id, %error, "a published port is not reserved"))
            .ok()
    };
    ports.iter().filter_map(reserve).collect()
}

/// Reserves ports that are about to be published again, all or none.
pub(crate) fn reserve_published(ports: &[PublishedPort]) -> Result<Vec<Reservation>, AttachError> {
    ports.iter().map(reserve_again).collect()
}

/// Reserves a port that is already published.
fn reserve_again(port: &PublishedPort) -> Result<Reservation, AttachError> {
    try_reserve(
        port.host_ip,
        port.host_port,
        port.container_port,
        port.protocol,
    )
    .map_err(|errno| refused(errno, port.host_ip, port.host_port, port.protocol))
}

/// Reserves one port on each of the addresses that are meant, the same on all of them.
fn reserve(request: &PortRequest, target: Target) -> Result<Vec<Reservation>, AttachError> {
    let addresses = addresses(request.host_ip.or(target.default_ip), target)?;
    let protocol = request.protocol;
    let on_all = |first: u16| -> Result<Vec<Reservation>, (Errno, IpAddr)> {
        let mut port = first;
        let mut taken = Vec::new();
        for address in &addresses {
            let reserved = try_reserve(*address, port, request.container_port, protocol);
            let reserved = reserved.map_err(|errno| (errno, *address))?;
            port = reserved.port.host_port;
            taken.push(reserved);
        }
        Ok(taken)
    };
    let told = |port| move |(errno, address)| refused(errno, address, port, protocol);
    match request.host_port {
        HostPort::Any => {
            // What is free on one address may be taken on the other.
            let mut tried = on_all(0);
            for _ in 1..ATTEMPTS {
                if !matches!(tried, Err((Errno::EADDRINUSE, _))) {
                    break;
                }
                tried = on_all(0);
            }
            tried.map_err(told(0))
        }
        HostPort::Exactly(port) => on_all(port).map_err(told(port)),
        HostPort::Within { first, last } => {
            for port in first..=last {
                match on_all(port) {
                    Err((Errno::EADDRINUSE, _)) => {}
                    result => return result.map_err(told(port)),
                }
            }
            Err(AttachError::NoFreePort {
                host_ip: addresses[0],
                first,
                last,
                protocol,
            })
        }
    }
}

/// Returns the machine's addresses to publish on, at least one.
fn addresses(host_ip: Option<IpAddr>, target: Target) -> Result<Vec<IpAddr>, AttachError> {
    match host_ip {
        None => {
            let mut all = Vec::new();
            if target.has_ipv4 || !target.has_ipv6 {
                all.push(Ipv4Addr::UNSPECIFIED.into());
            }
            if target.has_ipv6 {
                all.push(Ipv6Addr::UNSPECIFIED.into());
            }
            Ok(all)
        }
        Some(host_ip @ IpAddr::V6(_)) if !target.has_ipv6 => Err(AttachError::Ipv6 { host_ip }),
        Some(host_ip) => Ok(vec![host_ip]),
    }
}

fn try_reserve(
    host_ip: IpAddr,
    host_port: u16,
    container_port: u16,
    protocol: Protocol,
) -> Result<Reservation, Errno> {
    let socket = bound_socket(SocketAddr::new(host_ip, host_port), protocol)?;
    let address: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let v4 = address
        .as_sockaddr_in()
        .map(nix::sys::socket::SockaddrIn::port);
    let v6 = address
        .as_sockaddr_in6()
        .map(nix::sys::socket::SockaddrIn6::port);
    Ok(Reservation {
        port: PublishedPort {
            host_ip,
            host_port: v4.or(v6).ok_or(Errno::EAFNOSUPPORT)?,
            container_port,
            protocol,
        },
        _socket: socket,
    })
}

fn bound_socket(address: SocketAddr, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Protocol::Udp => (SockType::Datagram, SockProtocol::Udp),
        Protocol::Sctp => (SockType::Stream, SockProtocol::Sctp),
    };
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, number)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    // Connections that the last owner of the port closed must not count as owners, and only a
    // listening socket keeps away another one with the same option.
    if protocol == Protocol::Tcp {
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    let address = SockaddrStorage::from(address);
    bind(socket.as_raw_fd(), &address)?;
    if protocol == Protocol::Tcp {
        listen(&socket, Backlog::new(0)?)?;
    }
    Ok(socket)
}

fn refused(errno: Errno, host_ip: IpAddr, port: u16, protocol: Protocol) -> AttachError {
    match errno {
        Errno::EADDRINUSE => AttachError::PortInUse {
            host_ip,
            port,
            protocol,
            holder: None,
        },
        Errno::EADDRNOTAVAIL => AttachError::NoSuchAddress { host_ip },
        errno => AttachError::Publish {
            host_ip,
            port,
            protocol,
            source: io::Error::from(errno),
        },
    }
}
