//! Addresses of file servers. `mount.nfs` finds them on a machine's command line; the kernel does not.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};

/// Returns the options of an NFS mount with `addr=` being an address: that of the option, else that of
/// the server in `server:/path`.
pub(super) fn of_nfs(device: &str, data: &str) -> io::Result<String> {
    if let Some(named) = value(data, "addr") {
        let address = resolve(named)?;
        return Ok(data.replacen(&format!("addr={named}"), &format!("addr={address}"), 1));
    }
    let server = device.rsplit_once(":/").map_or("", |(server, _)| server);
    let server = server.trim_matches(['[', ']']);
    if server.is_empty() {
        return Ok(data.to_owned());
    }
    let address = resolve(server)?;
    let comma = if data.is_empty() { "" } else { "," };
    Ok(format!("{data}{comma}addr={address}"))
}

/// Returns device and options of a share with an address in place of the server's name.
pub(super) fn of_cifs(device: &str, data: &str) -> io::Result<(String, String)> {
    if let Some(named) = value(data, "addr") {
        let address = resolve(named)?;
        let data = data.replacen(&format!("addr={named}"), &format!("addr={address}"), 1);
        return Ok((device.to_owned(), data));
    }
    let rest = device.strip_prefix("//").unwrap_or_default();
    match rest.split_once('/') {
        Some((server, share)) if !server.is_empty() => {
            let address = resolve(server)?;
            Ok((format!("//{address}/{share}"), data.to_owned()))
        }
        _ => Ok((device.to_owned(), data.to_owned())),
    }
}

/// Returns the value of an option.
fn value<'a>(data: &'a str, key: &str) -> Option<&'a str> {
    let mut words = data.split(',').filter_map(|word| word.split_once('='));
    let (_, value) = words.find(|(name, _)| *name == key)?;
    (!value.is_empty()).then_some(value)
}

fn resolve(name: &str) -> io::Result<IpAddr> {
    if let Ok(address) = name.parse() {
        return Ok(address);
    }
    let unknown = |why: String| {
        io::Error::other(format!(
            "error resolving passed in network volume address: lookup {name}: {why}"
        ))
    };
    let mut found = (name, 0)
        .to_socket_addrs()
        .map_err(|error| unknown(error.to_string()))?;
    // Servers are mostly told to speak the older protocol.
    let found: Vec<IpAddr> = found.by_ref().map(|address| address.ip()).collect();
    let older = found.iter().find(|address| address.is_ipv4());
    older
        .or_else(|| found.first())
        .copied()
        .ok_or_else(|| unknown("no such host".to_owned()))
}
