//! The machine's ports that containers publish: finding free ones and keeping others from them.
//!
//! Packets for a published port never reach a socket of the machine. A socket is bound all the same
//! while the port is published, so that the kernel refuses it to every other program, and so that
//! a port that some program uses already is found out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn, bind, getsockname,
    listen, setsockopt, socket, sockopt,
};

use crate::{AttachError, HostPort, PortRequest, Protocol, PublishedPort};

/// A port of the machine that is ours as long as the value lives.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) port: PublishedPort,
    _socket: OwnedFd,
}

/// Reserves all ports or none.
pub(crate) fn reserve_all(requests: &[PortRequest]) -> Result<Vec<Reservation>, AttachError> {
    requests.iter().map(reserve).collect()
}

/// Reserves a port that is already published.
pub(crate) fn reserve_again(port: &PublishedPort) -> Result<Reservation, AttachError> {
    try_reserve(
        port.host_ip,
        port.host_port,
        port.container_port,
        port.protocol,
    )
    .map_err(|errno| refused(errno, port.host_ip, port.host_port, port.protocol))
}

fn reserve(request: &PortRequest) -> Result<Reservation, AttachError> {
    let protocol = request.protocol;
    let host_ip = match request.host_ip {
        None => Ipv4Addr::UNSPECIFIED,
        Some(IpAddr::V4(host_ip)) => host_ip,
        Some(host_ip @ IpAddr::V6(_)) => return Err(AttachError::Ipv6 { host_ip }),
    };
    let try_port = |port| try_reserve(host_ip, port, request.container_port, protocol);
    match request.host_port {
        HostPort::Any => try_port(0).map_err(|errno| refused(errno, host_ip, 0, protocol)),
        HostPort::Exactly(port) => {
            try_port(port).map_err(|errno| refused(errno, host_ip, port, protocol))
        }
        HostPort::Within { first, last } => {
            for port in first..=last {
                match try_port(port) {
                    Ok(reservation) => return Ok(reservation),
                    Err(Errno::EADDRINUSE) => {}
                    Err(errno) => return Err(refused(errno, host_ip, port, protocol)),
                }
            }
            Err(AttachError::NoFreePort {
                host_ip,
                first,
                last,
                protocol,
            })
        }
    }
}

fn try_reserve(
    host_ip: Ipv4Addr,
    host_port: u16,
    container_port: u16,
    protocol: Protocol,
) -> Result<Reservation, Errno> {
    let socket = bound_socket(SocketAddrV4::new(host_ip, host_port), protocol)?;
    let address: SockaddrIn = getsockname(socket.as_raw_fd())?;
    Ok(Reservation {
        port: PublishedPort {
            host_ip,
            host_port: address.port(),
            container_port,
            protocol,
        },
        _socket: socket,
    })
}

fn bound_socket(address: SocketAddrV4, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Protocol::Udp => (SockType::Datagram, SockProtocol::Udp),
        Protocol::Sctp => (SockType::Stream, SockProtocol::Sctp),
    };
    let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, number)?;
    match protocol {
        // Connections that the last owner of the port closed must not count as owners, and only a
        // listening socket keeps away another one with the same option.
        Protocol::Tcp => {
            setsockopt(&socket, sockopt::ReuseAddr, &true)?;
            bind(socket.as_raw_fd(), &SockaddrIn::from(address))?;
            listen(&socket, Backlog::new(0)?)?;
        }
        Protocol::Udp | Protocol::Sctp => bind(socket.as_raw_fd(), &SockaddrIn::from(address))?,
    }
    Ok(socket)
}

fn refused(errno: Errno, host_ip: Ipv4Addr, port: u16, protocol: Protocol) -> AttachError {
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
