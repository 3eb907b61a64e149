//! SOCKS, by which a client says where it wants to go.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Place, Taken};

/// Reads where a client of SOCKS 4, 4a or 5 wants to go, and tells it to go on.
pub(super) async fn socks(stream: &mut Taken) -> io::Result<Place> {
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    if stream.read_u8().await? == 4 {
        let (command, port) = (stream.read_u8().await?, stream.read_u16().await?);
        let address = stream.read_u32().await?;
        until_zero(stream).await?;
        // Version 4a puts a name behind an address that cannot be.
        let host = if (1..256).contains(&address) {
            until_zero(stream).await?
        } else {
            std::net::Ipv4Addr::from(address).to_string()
        };
        if command != 1 {
            return Err(nonsense());
        }
        stream.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).await?;
        return Ok(Place::Port(Some(host), port));
    }
    let n_methods = stream.read_u8().await?;
    let mut methods = vec![0; usize::from(n_methods)];
    stream.read_exact(&mut methods).await?;
    stream.write_all(&[5, 0]).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        4 => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
        3 => {
            let mut name = vec![0; usize::from(stream.read_u8().await?)];
            stream.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(|_not_text| nonsense())?
        }
        _ => return Err(nonsense()),
    };
    let port = stream.read_u16().await?;
    if head[..2] != [5, 1] {
        stream.write_all(&[5, 7, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        return Err(nonsense());
    }
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(Place::Port(Some(host), port))
}

async fn until_zero(stream: &mut Taken) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        match stream.read_u8().await? {
            0 => {
                return String::from_utf8(text).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())
                });
            }
            _ if text.len() > 255 => return Err(io::ErrorKind::InvalidData.into()),
            byte => text.push(byte),
        }
    }
}
