//! `berth port`.

use berth_proto::v1::InspectRequest;
use serde_json::Value;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Show where the ports of a container are published
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Only this port of the container
    #[arg(value_name = "PORT[/PROTO]")]
    port: Option<String>,
}

/// Where one port is published.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Published {
    number: u16,
    protocol: String,
    address: String,
}

/// Prints the addresses of a container's ports.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let request = InspectRequest {
        container: args.container.clone(),
        size: false,
    };
    let response = engine.containers().inspect(request).await?.into_inner();
    let object: Value = serde_json::from_str(&response.json)
        .map_err(|error| Failure::during("reading the agent's answer", &error))?;
    let ports = published(&object["NetworkSettings"]["Ports"]);
    let Some(asked) = &args.port else {
        for port in ports {
            let Published {
                number,
                protocol,
                address,
            } = port;
            ui::line(&format!("{number}/{protocol} -> {address}"))?;
        }
        return Ok(0);
    };
    let (number, protocol) = wanted(asked)?;
    let mut found = ports
        .iter()
        .filter(|port| port.number == number && port.protocol == protocol)
        .peekable();
    if found.peek().is_none() {
        return Err(Failure::new(format!(
            "no public port '{number}/{protocol}' published for {}",
            args.container
        )));
    }
    for port in found {
        ui::line(&port.address)?;
    }
    Ok(0)
}

fn wanted(text: &str) -> Result<(u16, String), Failure> {
    let (number, protocol) = match text.split_once('/') {
        Some((number, protocol)) if !protocol.is_empty() => (number, protocol),
        _ => (text, "tcp"),
    };
    let number = number
        .parse()
        .map_err(|_not_one| Failure::new(format!("invalid port '{text}'")))?;
    Ok((number, protocol.to_lowercase()))
}

/// Reads the object of `inspect`: `{"80/tcp": [{"HostIp": …, "HostPort": …}], "53/udp": null}`.
fn published(ports: &Value) -> Vec<Published> {
    let mut found = Vec::new();
    for (port, bindings) in ports.as_object().into_iter().flatten() {
        let Ok((number, protocol)) = wanted(port) else {
            continue;
        };
        for binding in bindings.as_array().into_iter().flatten() {
            let text = |key: &str| binding[key].as_str().unwrap_or_default();
            let (ip, host_port) = (text("HostIp"), text("HostPort"));
            let address = if ip.contains(':') {
                format!("[{ip}]:{host_port}")
            } else {
                format!("{ip}:{host_port}")
            };
            found.push(Published {
                number,
                protocol: protocol.clone(),
                address,
            });
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn published_ports_are_sorted_by_number() {
        let ports = json!({
            "443/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8443" }],
            "80/tcp": [{ "HostIp": "::", "HostPort": "80" }, { "HostIp": "0.0.0.0", "HostPort": "80" }],
            "53/udp": null,
        });
        let shown: Vec<String> = published(&ports)
            .iter()
            .map(|port| format!("{}/{} -> {}", port.number, port.protocol, port.address))
            .collect();
        assert_eq!(
            shown,
            [
                "80/tcp -> 0.0.0.0:80",
                "80/tcp -> [::]:80",
                "443/tcp -> 0.0.0.0:8443"
            ]
        );
    }

    #[test]
    fn a_port_is_tcp_unless_it_says_otherwise() {
        assert_eq!(wanted("80").unwrap(), (80, "tcp".to_owned()));
        assert_eq!(wanted("53/UDP").unwrap(), (53, "udp".to_owned()));
        wanted("x").unwrap_err();
    }
}
