//! Reaching a port of a host that has several addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::Family;

/// How long an address has before the next one is tried as well.
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first address of `host` that answers, kinds of address in turns.
///
/// Names, addresses of both versions, and scoped addresses (`fe80::1%eth0`) are taken.
///
/// # Errors
///
/// When the name has no address, or none of them answers: the first address's failure.
pub async fn dial(host: &str, port: u16, family: Family) -> io::Result<TcpStream> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let addresses = in_turns(found, family);
    if addresses.is_empty() {
        let text = format!("{host} has no address of the wanted kind");
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let stream = first(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let mut failure = None;
    loop {
        match waiting.next() {
            Some(address) => running.push(TcpStream::connect(address)),
            None if running.is_empty() => break,
            None => {}
        }
        // A failure lets the next one start at once, silence after a while.
        let limit = if waiting.len() == 0 {
            Duration::MAX
        } else {
            HEAD_START
        };
        match timeout(limit, running.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => drop(failure.get_or_insert(error)),
            Ok(None) | Err(_) => {}
        }
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// Sorts addresses so that both kinds get their turn, the resolver's first one first.
fn in_turns(addresses: Vec<SocketAddr>, family: Family) -> Vec<SocketAddr> {
    let wanted = |address: &SocketAddr| match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    };
    let addresses: Vec<_> = addresses.into_iter().filter(wanted).collect();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut sorted = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        if pair == (None, None) {
            return sorted;
        }
        sorted.extend(pair.0);
        sorted.extend(pair.1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn kinds_of_address_take_turns() {
        let found = ["[fd00::1]:1", "[fd00::2]:1", "192.0.2.1:1", "192.0.2.2:1"].map(address);
        let sorted = in_turns(found.to_vec(), Family::Any);
        assert_eq!(
            sorted,
            ["[fd00::1]:1", "192.0.2.1:1", "[fd00::2]:1", "192.0.2.2:1"].map(address)
        );
        let sorted = in_turns(found.to_vec(), Family::V4);
        assert_eq!(sorted, ["192.0.2.1:1", "192.0.2.2:1"].map(address));
    }

    #[tokio::test]
    async fn scoped_addresses_keep_their_interface() {
        let mut found = lookup_host(("fe80::1%lo", 22)).await.unwrap();
        let Some(SocketAddr::V6(address)) = found.next() else {
            panic!("no address");
        };
        assert_eq!(address.scope_id(), 1);
    }

    #[tokio::test]
    async fn an_address_that_refuses_gives_way_to_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let closed = SocketAddr::from(([127, 0, 0, 2], port));
        let open = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = first(vec![closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn a_silent_address_does_not_keep_the_others_waiting() {
        // A full queue of connections: the kernel drops what comes, as a firewall would.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind(address("127.0.0.1:0")).unwrap();
        let silent = silent.listen(0).unwrap();
        let silent_address = silent.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(Ok(stream)) = timeout(
            Duration::from_millis(100),
            TcpStream::connect(silent_address),
        )
        .await
        {
            fillers.push(stream);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let stream = timeout(Duration::from_secs(5), first(vec![silent_address, open]))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn the_first_failure_is_told_when_nothing_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = listener.local_addr().unwrap();
        drop(listener);
        let error = first(vec![closed]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = dial("127.0.0.1", closed.port(), Family::V6)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
