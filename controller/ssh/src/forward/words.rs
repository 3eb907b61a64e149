//! Forwards as the words of `-L`, `-R` and `-D`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Forward, ForwardError, Place};

// === impl Forward ===

impl Forward {
    /// Reads `[address:]port`, for SOCKS.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn dynamic(text: &str) -> Result<Self, ForwardError> {
        let wrong = || ForwardError::Form(text.to_owned());
        let listen = match parts(text).ok_or_else(wrong)?.as_slice() {
            [port] => Place::Port(None, port.parse().map_err(|_not_number| wrong())?),
            [host, port] => Place::Port(
                Some(any(host)),
                port.parse().map_err(|_not_number| wrong())?,
            ),
            _ => return Err(wrong()),
        };
        Ok(Self {
            listen,
            target: None,
        })
    }
}

impl FromStr for Forward {
    type Err = ForwardError;

    /// Reads `[address:]port:host:port`, addresses of IP version 6 in brackets, paths of sockets in
    /// the place of `[address:]port` and of `host:port`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ForwardError::Form(text.to_owned());
        let number = |text: &str| text.parse::<u16>().ok();
        let parts = parts(text).ok_or_else(wrong)?;
        let is_path = |text: &str| text.contains('/');
        let words: Vec<&str> = parts.iter().map(String::as_str).collect();
        let port = |host: &str, port: &str| Some(Place::Port(Some(host.to_owned()), number(port)?));
        let socket = |path: &str| Some(Place::Socket(PathBuf::from(path)));
        let ends = match words.as_slice() {
            [from, to] if is_path(from) && is_path(to) => (socket(from), socket(to)),
            [from, to] if is_path(to) => (number(from).map(|p| Place::Port(None, p)), socket(to)),
            [from, host, to] if is_path(from) => (socket(from), port(host, to)),
            [host, from, to] if is_path(to) => (port(&any(host), from), socket(to)),
            [from, host, to] => (number(from).map(|p| Place::Port(None, p)), port(host, to)),
            [bind, from, host, to] => (port(&any(bind), from), port(host, to)),
            _ => return Err(wrong()),
        };
        match ends {
            (Some(listen), Some(target)) => Ok(Self {
                listen,
                target: Some(target),
            }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(None, port) => write!(formatter, "port {port}"),
            Self::Port(Some(host), port) if host.contains(':') => {
                write!(formatter, "[{host}]:{port}")
            }
            Self::Port(Some(host), port) => write!(formatter, "{host}:{port}"),
            Self::Socket(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// An empty address is all addresses.
fn any(host: &str) -> String {
    if host.is_empty() { "*" } else { host }.to_owned()
}

/// Splits at colons outside brackets; `None` for a bracket that is left open.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (inner, after) = tail.split_once(']')?;
            parts.last_mut()?.push_str(inner);
            rest = after;
        } else if let Some(tail) = rest.strip_prefix(':') {
            parts.push(String::new());
            rest = tail;
        } else {
            let end = rest.find([':', '[']).unwrap_or(rest.len());
            parts.last_mut()?.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_read_as_ssh_writes_them() {
        let port = |host: &str, port| Place::Port(Some(host.to_owned()), port);
        let socket = |path: &str| Place::Socket(PathBuf::from(path));
        for (text, listen, target) in [
            (
                "8080:localhost:80",
                Place::Port(None, 8080),
                port("localhost", 80),
            ),
            ("*:1:[::1]:2", port("*", 1), port("::1", 2)),
            (":1:h:2", port("*", 1), port("h", 2)),
            ("[::1]:1:h:2", port("::1", 1), port("h", 2)),
            ("1:/run/x.sock", Place::Port(None, 1), socket("/run/x.sock")),
            ("/tmp/a:/tmp/b", socket("/tmp/a"), socket("/tmp/b")),
            ("/tmp/a:h:2", socket("/tmp/a"), port("h", 2)),
        ] {
            let forward: Forward = text.parse().unwrap();
            assert_eq!(
                (forward.listen, forward.target),
                (listen, Some(target)),
                "{text}"
            );
        }
        for text in ["", "80", "1:h", "1:h:70000", "[::1:1:h:2", "a:b:c:d:e"] {
            text.parse::<Forward>().unwrap_err();
        }
        assert_eq!(
            Forward::dynamic("1080").unwrap().listen,
            Place::Port(None, 1080)
        );
    }
}
