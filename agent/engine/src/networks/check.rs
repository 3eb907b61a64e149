//! Checks of what is asked of a new network, before anything of it is made. Texts are Docker's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use berth_agent_network::Subnet;

use super::error::NetworkError;
use super::options::{NetworkOptions, PoolOptions};
use super::record::{PoolRecord, ipvlan_mode, macvlan_mode, option, truth};

/// Longest name of an interface in bytes.
const LONGEST_INTERFACE: usize = 15;

/// Checks everything but the addresses.
pub(super) fn check(options: &NetworkOptions) -> Result<(), NetworkError> {
    let invalid = |text: &str| Err(NetworkError::Invalid(text.to_owned()));
    let name = options.name.trim();
    if name.is_empty() {
        return invalid("invalid network name: must not be empty");
    }
    // Names that would not be themselves in the options of `run`.
    if name.starts_with("container:") || name.contains(['\n', '\0']) || name == "default" {
        return Err(NetworkError::Invalid(format!(
            "invalid network name: {name}"
        )));
    }
    if !matches!(options.scope.as_str(), "" | "local") || options.ingress {
        return Err(NetworkError::Forbidden(NO_SWARM.to_owned()));
    }
    if options.enable_ipv4 == Some(false) && options.enable_ipv6 != Some(true) {
        return invalid("IPv4 or IPv6 must be enabled");
    }
    match options.driver.as_str() {
        "" | "bridge" => bridge(&options.options),
        "macvlan" => mode(options, option::MACVLAN_MODE, "macvlan", |m| {
            macvlan_mode(m).is_some()
        }),
        "ipvlan" => mode(options, option::IPVLAN_MODE, "ipvlan", |m| {
            ipvlan_mode(m).is_some()
        }),
        driver @ ("host" | "null") => Err(NetworkError::Forbidden(format!(
            "only one instance of \"{driver}\" network is allowed"
        ))),
        "overlay" => Err(NetworkError::Forbidden(NO_SWARM.to_owned())),
        other => Err(NetworkError::Driver(other.to_owned())),
    }?;
    match options.ipam_driver.as_str() {
        "" | "default" | "null" => Ok(()),
        other => Err(NetworkError::Driver(other.to_owned())),
    }
}

const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

fn bridge(options: &BTreeMap<String, String>) -> Result<(), NetworkError> {
    for key in [option::ICC, option::MASQUERADE] {
        let wrong = options.get(key).filter(|value| truth(value).is_none());
        if let Some(value) = wrong {
            return Err(parse_error(key, value));
        }
    }
    let wrong = |key: &str, is_right: &dyn Fn(&str) -> bool| {
        let value = options.get(key).filter(|value| !is_right(value));
        value.map_or(Ok(()), |value| Err(parse_error(key, value)))
    };
    wrong(option::MTU, &|value| value.parse::<u32>().is_ok())?;
    wrong(option::HOST_BINDING, &|value| {
        value.parse::<IpAddr>().is_ok()
    })?;
    wrong(option::NAME, &|name| {
        name.len() <= LONGEST_INTERFACE
            && !matches!(name, "." | "..")
            && name
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'/' && b != b':')
    })
}

fn parse_error(key: &str, value: &str) -> NetworkError {
    NetworkError::Invalid(format!("failed to parse {key} value: {value:?}"))
}

fn mode(
    options: &NetworkOptions,
    key: &str,
    driver: &str,
    is_right: impl Fn(&str) -> bool,
) -> Result<(), NetworkError> {
    let value = options.options.get(key).map_or("", String::as_str);
    if is_right(value) {
        return Ok(());
    }
    let default = if driver == "macvlan" { "bridge" } else { "l2" };
    Err(NetworkError::Invalid(format!(
        "requested {driver} mode '{value}' is not valid, '{default}' mode is the {driver} driver default"
    )))
}

/// Reads the subnets; those of IPv6 do not count when it is not enabled.
pub(super) fn pools(options: &NetworkOptions) -> Result<Vec<PoolRecord>, NetworkError> {
    let mut pools = Vec::new();
    let mut wrong = Vec::new();
    for asked in &options.pools {
        if asked.subnet.is_empty() {
            if asked.gateway.is_empty()
                && asked.ip_range.is_empty()
                && asked.aux_addresses.is_empty()
            {
                continue;
            }
            wrong.push("every ip-range or gateway must have a corresponding subnet".to_owned());
            continue;
        }
        match pool(asked, &mut wrong) {
            Some(pool) if pool.subnet.is_ipv4() && options.enable_ipv4 == Some(false) => {}
            Some(pool) if !pool.subnet.is_ipv4() && options.enable_ipv6 != Some(true) => {}
            Some(pool) => pools.push(pool),
            None => {}
        }
    }
    if wrong.is_empty() {
        return Ok(pools);
    }
    let text = format!("invalid network config:\n{}", wrong.join("\n"));
    Err(NetworkError::Invalid(text))
}

fn pool(asked: &PoolOptions, wrong: &mut Vec<String>) -> Option<PoolRecord> {
    let text = &asked.subnet;
    let Ok(subnet) = text.parse::<Subnet>() else {
        wrong.push(format!(
            "invalid subnet {text}: invalid CIDR block notation"
        ));
        return None;
    };
    if &subnet.to_string() != text && !is_same_network(text, subnet) {
        wrong.push(format!("invalid subnet {text}: it should be {subnet}"));
    }
    let mut address = |what: &str, text: &str| {
        let why = match text.parse::<IpAddr>() {
            Err(_) => "invalid address".to_owned(),
            Ok(address) if address.is_ipv4() != subnet.is_ipv4() => other_family(subnet),
            Ok(address) if !subnet.contains(address) => {
                format!("parent subnet {subnet} doesn't contain this address")
            }
            Ok(address) => return Some(address),
        };
        wrong.push(format!("invalid {what} {text}: {why}"));
        None
    };
    let gateway = match asked.gateway.as_str() {
        "" => None,
        text => address("gateway", text),
    };
    let aux = asked.aux_addresses.iter();
    let aux =
        aux.filter_map(|(name, text)| Some((name.clone(), address("auxiliary address", text)?)));
    let aux: BTreeMap<String, IpAddr> = aux.collect();
    let range = match asked.ip_range.as_str() {
        "" => None,
        text => range(text, subnet)
            .map_err(|why| wrong.push(format!("invalid ip-range {text}: {why}")))
            .ok(),
    };
    Some(PoolRecord {
        subnet,
        gateway,
        range,
        aux,
    })
}

/// Whether a text names the network without host bits, in whatever spelling.
fn is_same_network(text: &str, subnet: Subnet) -> bool {
    let address = text
        .split_once('/')
        .and_then(|(address, _)| address.parse::<IpAddr>().ok());
    address == Some(subnet.network())
}

fn range(text: &str, subnet: Subnet) -> Result<Subnet, String> {
    let range: Subnet = text
        .parse()
        .map_err(|_wrong| "invalid CIDR block notation".to_owned())?;
    if range.is_ipv4() != subnet.is_ipv4() {
        return Err(other_family(subnet));
    }
    if range.prefix() < subnet.prefix() {
        return Err(format!(
            "CIDR block is bigger than its parent subnet {subnet}"
        ));
    }
    if !is_same_network(text, range) {
        return Err(format!("it should be {range}"));
    }
    if !subnet.contains(range.network()) {
        return Err(format!("parent subnet {subnet} doesn't contain ip-range"));
    }
    Ok(range)
}

fn other_family(subnet: Subnet) -> String {
    let family = if subnet.is_ipv4() { 4 } else { 6 };
    format!("parent subnet is an IPv{family} block")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: &NetworkOptions) -> String {
        let error = check(options).and_then(|()| pools(options).map(drop));
        error.expect_err("refused").to_string()
    }

    fn with_pool(pool: PoolOptions) -> NetworkOptions {
        NetworkOptions {
            name: "n".to_owned(),
            pools: vec![pool],
            ..NetworkOptions::default()
        }
    }

    #[test]
    fn drivers_and_options_are_checked() {
        let driver = |driver: &str| NetworkOptions {
            name: "n".to_owned(),
            driver: driver.to_owned(),
            ..NetworkOptions::default()
        };
        assert_eq!(
            refused(&driver("host")),
            "only one instance of \"host\" network is allowed"
        );
        assert_eq!(
            refused(&driver("nope")),
            "could not find plugin nope in v1 plugin registry: plugin not found"
        );
        assert!(refused(&driver("overlay")).starts_with("This node is not a swarm manager."));
        assert_eq!(
            refused(&NetworkOptions::default()),
            "invalid network name: must not be empty"
        );
        let mut options = driver("bridge");
        options
            .options
            .insert(option::ICC.to_owned(), "perhaps".to_owned());
        assert_eq!(
            refused(&options),
            format!("failed to parse {} value: \"perhaps\"", option::ICC)
        );
        let mut options = driver("macvlan");
        options
            .options
            .insert(option::MACVLAN_MODE.to_owned(), "x".to_owned());
        assert!(refused(&options).starts_with("requested macvlan mode 'x' is not valid"));
    }

    #[test]
    fn subnets_are_checked_and_all_faults_told() {
        let pool = PoolOptions {
            subnet: "10.0.0.1/24".to_owned(),
            gateway: "10.0.1.1".to_owned(),
            ip_range: "10.0.0.0/16".to_owned(),
            aux_addresses: BTreeMap::from([("a".to_owned(), "fd00::1".to_owned())]),
        };
        assert_eq!(
            refused(&with_pool(pool)),
            "invalid network config:\n\
             invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24\n\
             invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address\n\
             invalid auxiliary address fd00::1: parent subnet is an IPv4 block\n\
             invalid ip-range 10.0.0.0/16: CIDR block is bigger than its parent subnet 10.0.0.0/24"
        );
        let pool = PoolOptions {
            subnet: "x".to_owned(),
            ..PoolOptions::default()
        };
        assert_eq!(
            refused(&with_pool(pool)),
            "invalid network config:\ninvalid subnet x: invalid CIDR block notation"
        );
    }

    #[test]
    fn ipv6_counts_when_it_is_enabled() {
        let pool = PoolOptions {
            subnet: "fd00:1::/64".to_owned(),
            ..PoolOptions::default()
        };
        let mut options = with_pool(pool);
        assert_eq!(pools(&options).expect("ignored"), []);
        options.enable_ipv6 = Some(true);
        assert_eq!(pools(&options).expect("read").len(), 1);
    }
}
