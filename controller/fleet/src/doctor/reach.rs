//! The way to the host: names, ports, its key, the login.

use std::net::IpAddr;
use std::time::Duration;

use berth_controller_ssh::{self as ssh, Session};
use berth_controller_store::MachineRecord;
use berth_provisioners_api::Machine;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Check;
use crate::list::chain;
use crate::{Fleet, SshError};

/// How long a port may take to answer.
const PORT_PATIENCE: Duration = Duration::from_secs(3);
/// How long a login may take.
const LOGIN_PATIENCE: Duration = Duration::from_secs(10);

impl Fleet {
    /// Goes as far as a session on the host.
    pub(super) async fn reach(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        checks: &mut Vec<Check>,
    ) -> Option<Session> {
        let name = record.name.as_str();
        let endpoint = match machine.ssh_endpoint().await {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let todo = error
                    .hint()
                    .unwrap_or("see whether it has an address at its provider");
                checks.push(Check::fail("address", chain(&error), todo));
                return None;
            }
        };
        let (host, port) = (endpoint.host.as_str(), endpoint.port);
        if !dns(host, port, checks).await {
            return None;
        }
        match connect(host, port).await {
            Ok(()) => checks.push(Check::ok("ssh-port", format!("{host} port {port} is open"))),
            Err(why) => {
                let todo = match why.as_str() {
                    REFUSED => "start the ssh server on the host, or correct the port".to_owned(),
                    _ => "see whether the host is up, and whether a firewall or a security group \
                          closes the port"
                        .to_owned(),
                };
                checks.push(Check::fail(
                    "ssh-port",
                    format!("{host} port {port} {why}"),
                    todo,
                ));
                return None;
            }
        }
        let session = self.log_in(record, machine, LOGIN_PATIENCE).await;
        match session {
            Ok(session) => {
                let key = session.host_key().fingerprint();
                checks.push(match record.side.host_key {
                    Some(_) => Check::ok("host-key", format!("{key}, as on record")),
                    None => Check::warn(
                        "host-key",
                        format!("{key}, and none is on record to compare it with"),
                        format!("berth machine provision {name} writes it down"),
                    ),
                });
                checks.push(Check::ok(
                    "ssh-login",
                    format!("user {} is let in", endpoint.user),
                ));
                Some(session)
            }
            Err(error) => {
                checks.extend(login_failure(name, &error));
                None
            }
        }
    }
}

/// What a port says to whoever is not welcome.
const REFUSED: &str = "refuses connections";

async fn connect(host: &str, port: u16) -> Result<(), String> {
    match timeout(PORT_PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_stream)) => Ok(()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(REFUSED.to_owned())
        }
        Ok(Err(error)) => Err(format!("cannot be reached: {error}")),
        Err(_elapsed) => Err(format!(
            "does not answer within {} s",
            PORT_PATIENCE.as_secs()
        )),
    }
}

async fn dns(host: &str, port: u16, checks: &mut Vec<Check>) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        checks.push(Check::ok("dns", format!("{host} is an address")));
        return true;
    }
    let todo = "correct the name, or the resolver of this computer (/etc/resolv.conf)";
    let said = match timeout(PORT_PATIENCE, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<String> = found.map(|found| found.ip().to_string()).collect();
            addresses.dedup();
            if !addresses.is_empty() {
                let said = format!("{host} is {}", addresses.join(", "));
                checks.push(Check::ok("dns", said));
                return true;
            }
            "it has no address".to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => "the resolver does not answer".to_owned(),
    };
    checks.push(Check::fail(
        "dns",
        format!("the name {host} cannot be resolved: {said}"),
        todo,
    ));
    false
}

fn login_failure(name: &str, error: &SshError) -> Vec<Check> {
    let SshError::Connect { source, .. } = error else {
        let todo = error
            .hint()
            .unwrap_or_else(|| format!("berth machine provision {name}"));
        return vec![Check::fail("ssh-login", chain(error), todo)];
    };
    match source {
        ssh::ConnectError::HostKeyChanged { .. } => vec![Check::fail(
            "host-key",
            chain(source),
            error.hint().unwrap_or_default(),
        )],
        ssh::ConnectError::Refused { .. } | ssh::ConnectError::Identity(_) => vec![
            Check::ok("host-key", "as on record"),
            Check::fail(
                "ssh-login",
                chain(source),
                "see that the user is right, and that the machine's key is in the user's \
                 ~/.ssh/authorized_keys on the host",
            ),
        ],
        _ => vec![Check::fail(
            "ssh-login",
            chain(source),
            "something answers there, but not as an ssh server does; see the host's console",
        )],
    }
}

/// Looks at the agent's port from here; `listens` when the host says that something is there.
pub(super) async fn engine_port(
    name: &str,
    record: &MachineRecord,
    machine: &dyn Machine,
    listens: bool,
) -> Check {
    let port = machine.engine_port();
    let host = match record.config.ip_address() {
        Some(address) => address.to_owned(),
        None => machine.ip().await.unwrap_or_default(),
    };
    match connect(&host, port).await {
        Ok(()) => Check::ok("engine-port", format!("{host} port {port} is open")),
        Err(why) if listens => Check::fail(
            "engine-port",
            format!("{host} port {port} {why}, though the agent listens there"),
            format!(
                "open it in the host's firewall or the provider's security group; until then \
                 everything goes through ssh (on the host: nft list ruleset, or firewall-cmd \
                 --add-port={port}/tcp)"
            ),
        ),
        Err(why) => Check::fail(
            "engine-port",
            format!("{host} port {port} {why}"),
            format!("berth machine provision {name} starts the agent if it does not run"),
        ),
    }
}
