//! `--network` and what depends on which networks there are.

use std::collections::HashSet;

use berth_proto::v1::EndpointConfig;

use super::csv;
use crate::ui::quote::quoted;

/// Reads a network's name, or `name=NAME,alias=…,ip=…,ip6=…,mac-address=…,link-local-ip=…,
/// driver-opt=KEY=VALUE`.
pub(crate) fn parse(text: &str) -> Result<EndpointConfig, String> {
    if !is_long_form(text) {
        return Ok(EndpointConfig {
            network: text.to_owned(),
            ..EndpointConfig::default()
        });
    }
    let mut endpoint = EndpointConfig::default();
    for field in csv::fields(text)? {
        let parts = field.split_once('=').filter(|(name, _)| !name.is_empty());
        let Some((name, value)) = parts else {
            return Err(format!("invalid field {field}"));
        };
        set(&mut endpoint, name.trim(), value.trim())?;
    }
    if endpoint.network.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(endpoint)
}

/// Docker takes any text with a word, an equals sign and a word in it for the long form.
fn is_long_form(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices('=').any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + 1..].chars().next();
        before.is_some_and(word) && after.is_some_and(word)
    })
}

fn set(endpoint: &mut EndpointConfig, name: &str, value: &str) -> Result<(), String> {
    match name {
        "name" => value.clone_into(&mut endpoint.network),
        "alias" => endpoint.aliases.push(value.to_owned()),
        "ip" => value.clone_into(&mut endpoint.ipv4_address),
        "ip6" => value.clone_into(&mut endpoint.ipv6_address),
        "gw-priority" => {
            endpoint.gw_priority = value
                .parse()
                .map_err(|_none| format!("invalid gw-priority ({value}): invalid syntax"))?;
        }
        "link-local-ip" => endpoint.link_local_ips.push(value.to_owned()),
        "mac-address" => {
            check_mac_address(value)?;
            value.clone_into(&mut endpoint.mac_address);
        }
        "driver-opt" => {
            let parts = value.split_once('=').filter(|(name, _)| !name.is_empty());
            let (option, value) = parts
                .ok_or_else(|| "invalid key value pair format in driver options".to_owned())?;
            let option = option.trim().to_owned();
            endpoint.driver_opts.insert(option, value.trim().to_owned());
        }
        other => return Err(format!("invalid field key {other}")),
    }
    Ok(())
}

/// Says whether somebody made the network: it is none of those that are always there.
pub(crate) fn is_user_defined(network: &str) -> bool {
    !matches!(network, "" | "default" | "bridge" | "host" | "none")
        && !network.starts_with("container:")
}

/// Checks what is asked of all networks together.
pub(crate) fn check(endpoints: &[EndpointConfig]) -> Result<(), String> {
    let mut names = HashSet::new();
    for endpoint in endpoints {
        let name = endpoint.network.as_str();
        if name.trim().is_empty() {
            return Err("no name set for network".to_owned());
        }
        if !is_user_defined(name) && !endpoint.aliases.is_empty() {
            return Err(
                "network-scoped aliases are only supported for user-defined networks".to_owned(),
            );
        }
        if !names.insert(name) {
            return Err(format!(
                "network {} is specified multiple times",
                quoted(name)
            ));
        }
    }
    let made = endpoints
        .iter()
        .filter(|e| is_user_defined(&e.network))
        .count();
    if made != 0 && made != endpoints.len() {
        return Err(
            "conflicting options: cannot attach both user-defined and non-user-defined \
             network-modes"
                .to_owned(),
        );
    }
    Ok(())
}

/// Checks a hardware address: pairs of digits with colons or hyphens, or fours with dots.
pub(crate) fn check_mac_address(text: &str) -> Result<(), String> {
    let address = text.trim();
    let groups = |separator: char, width: usize, counts: [usize; 3]| {
        let parts: Vec<&str> = address.split(separator).collect();
        let hexadecimal =
            |part: &&str| part.len() == width && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        counts.contains(&parts.len()) && parts.iter().all(hexadecimal)
    };
    if groups(':', 2, [6, 8, 20]) || groups('-', 2, [6, 8, 20]) || groups('.', 4, [3, 4, 10]) {
        Ok(())
    } else {
        Err(format!("{text} is not a valid mac address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_names_what_is_asked() {
        let endpoint = parse("name=net, alias=a,alias=b,ip=10.0.0.2,driver-opt=k=v").unwrap();
        assert_eq!(endpoint.network, "net");
        assert_eq!(endpoint.aliases, ["a", "b"]);
        assert_eq!(endpoint.ipv4_address, "10.0.0.2");
        assert_eq!(endpoint.driver_opts["k"], "v");
        assert_eq!(parse("container:web").unwrap().network, "container:web");
        assert_eq!(parse("name=").unwrap().network, "name=");
    }

    #[test]
    fn bad_fields_are_named() {
        let said = |text| parse(text).unwrap_err();
        assert_eq!(said("name=a,foo=b"), "invalid field key foo");
        assert_eq!(said("name=a,foo"), "invalid field foo");
        assert_eq!(said("alias=x"), "network name/id is not specified");
        assert_eq!(
            said("name=a,driver-opt=x"),
            "invalid key value pair format in driver options"
        );
    }

    #[test]
    fn networks_must_go_together() {
        let said = |names: &[&str]| {
            let endpoints: Vec<_> = names.iter().map(|name| parse(name).unwrap()).collect();
            check(&endpoints).unwrap_err()
        };
        assert_eq!(
            said(&["a", "a"]),
            "network \"a\" is specified multiple times"
        );
        assert!(said(&["a", "host"]).starts_with("conflicting options: cannot attach both"));
        assert!(said(&["name=bridge,alias=x"]).starts_with("network-scoped aliases"));
        assert_eq!(said(&[""]), "no name set for network");
    }

    #[test]
    fn hardware_addresses_have_three_forms() {
        for text in ["92:d0:c6:0a:29:33", "92-d0-c6-0a-29-33", "92d0.c60a.2933"] {
            check_mac_address(text).unwrap();
        }
        for text in ["zz", "92:d0:c6:0a:29", "92:d0:c6:0a:29:3", ""] {
            assert_eq!(
                check_mac_address(text).unwrap_err(),
                format!("{text} is not a valid mac address")
            );
        }
    }
}
