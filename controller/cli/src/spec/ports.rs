//! `-p` and `--expose`.

use std::net::IpAddr;

use berth_proto::v1::PortBinding;

use super::number;

/// Reads a `-p` value: `[[ip:]host:]container[/protocol]` with ranges, or the long form
/// `published=8080,target=80,protocol=tcp`.
pub(crate) fn publish(text: &str) -> Result<Vec<PortBinding>, String> {
    if text.contains('=') {
        return mappings(&short_form(text)?);
    }
    mappings(text)
}

/// Turns the long form into the short one.
fn short_form(text: &str) -> Result<String, String> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for option in text.split(',') {
        let Some((name, value)) = option.split_once('=') else {
            return Err(format!(
                "invalid publish opts format (should be name=value but got '{option}')"
            ));
        };
        match name {
            "published" => published = value,
            "target" => target = value,
            "protocol" => protocol = value,
            "mode" => {}
            other => return Err(format!("invalid publish option: {other}")),
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn mappings(text: &str) -> Result<Vec<PortBinding>, String> {
    let (ip, host, container) = split(text);
    let (container, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
    let protocol = if protocol.is_empty() {
        "tcp".to_owned()
    } else {
        protocol.to_lowercase()
    };
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let host_ip = address(ip)?;
    let (first, last) =
        range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let host_range = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    if let Some((host_first, host_last)) = host_range
        && host_last - host_first != last - first
        && first != last
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    let bindings = (first..=last).map(|port| {
        let host_port = host_range.map_or(0, |(host_first, _)| host_first + (port - first));
        let host_port_last = match host_range {
            Some((host_first, host_last)) if first == last && host_last > host_first => host_last,
            _ => 0,
        };
        PortBinding {
            host_ip: host_ip.clone(),
            host_port: host_port.into(),
            host_port_last: host_port_last.into(),
            container_port: port.into(),
            protocol: protocol.clone(),
        }
    });
    Ok(bindings.collect())
}

/// Cuts at the last two colons, as addresses of version 6 have colons themselves.
fn split(text: &str) -> (&str, &str, &str) {
    let Some((rest, container)) = text.rsplit_once(':') else {
        return ("", "", text);
    };
    match rest.rsplit_once(':') {
        Some((ip, host)) => (ip, host, container),
        None => ("", rest, container),
    }
}

/// Checks an address, with or without brackets; empty means any.
fn address(text: &str) -> Result<String, String> {
    let bare = match text.strip_prefix('[') {
        Some(inside) => inside
            .strip_suffix(']')
            .ok_or_else(|| format!("invalid IP address {text}: missing ']' in address"))?,
        None => text,
    };
    if bare.is_empty() || bare.parse::<IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    Err(format!("invalid IP address: {bare}"))
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some((first, last))
        }
    }
}

/// Reads an `--expose` value, a port or a range with an optional protocol, into single ports.
pub(crate) fn expose(text: &str) -> Result<Vec<(u32, String)>, String> {
    if text.contains(':') {
        return Err(format!("invalid port format for --expose: {text}"));
    }
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    let (first, last) = exposed_range(ports)
        .map_err(|why| format!("invalid range format for --expose: {text}, error: {why}"))?;
    Ok((first..=last)
        .map(|port| (port.into(), protocol.to_owned()))
        .collect())
}

fn exposed_range(text: &str) -> Result<(u16, u16), String> {
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number::uint16(first)?, number::uint16(last)?);
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn publish_agrees_with_go_connections() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let path = root.join("../shared/data/vectors/ports.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("SKIPPED: no test vectors at {}", path.display());
            return;
        };
        let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert!(vectors.len() > 100);
        for mut vector in vectors {
            // The wire has one word for "any port that is free".
            for binding in vector["spec"].as_array_mut().into_iter().flatten() {
                if binding["host_port"] == "0" {
                    binding["host_port"] = json!("");
                }
            }
            let input = vector["input"].as_str().unwrap();
            match mappings(input) {
                Ok(found) => {
                    let found: Vec<Value> = found.iter().map(as_vector).collect();
                    assert_eq!(vector["spec"], Value::Array(found), "{input:?}");
                }
                Err(error) => assert_eq!(vector["spec_error"], error, "{input:?}"),
            }
        }
    }

    fn as_vector(binding: &PortBinding) -> Value {
        let host_port = match (binding.host_port, binding.host_port_last) {
            (0, _) => String::new(),
            (first, 0) => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        json!({
            "container": format!("{}/{}", binding.container_port, binding.protocol),
            "host_ip": binding.host_ip,
            "host_port": host_port,
        })
    }

    #[test]
    fn a_host_range_for_one_port_stays_a_range() {
        let found = publish("8000-8010:80").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].host_port, found[0].host_port_last), (8000, 8010));
        publish("8000-8010:80-81").unwrap_err();
        let found = publish("published=8080,target=80,protocol=udp").unwrap();
        assert_eq!(
            (found[0].host_port, found[0].protocol.as_str()),
            (8080, "udp")
        );
    }

    #[test]
    fn exposed_ranges_become_single_ports() {
        let udp = |port| (port, "udp".to_owned());
        assert_eq!(expose("80-81/udp").unwrap(), [udp(80), udp(81)]);
        assert_eq!(expose("53").unwrap(), [(53, "tcp".to_owned())]);
        expose("80:81").unwrap_err();
        expose("9-8").unwrap_err();
        assert_eq!(
            expose("80-x").unwrap_err(),
            "invalid range format for --expose: 80-x, error: strconv.ParseUint: parsing \"x\": \
             invalid syntax"
        );
    }
}
