//! `--add-host`: `name:address`, or `name=address`.

use std::net::IpAddr;

use super::InvalidOption;

/// Word for the machine's own address, as containers see it.
pub(crate) const HOST_GATEWAY: &str = "host-gateway";

/// One `--add-host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtraHost<'a> {
    pub(crate) name: &'a str,
    /// Nothing: the machine's.
    pub(crate) address: Option<IpAddr>,
}

impl<'a> ExtraHost<'a> {
    /// Reads one text.
    pub(crate) fn parse(text: &'a str) -> Result<Self, InvalidOption> {
        let (name, address) = text
            .split_once(['=', ':'])
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| InvalidOption::ExtraHost(text.to_owned()))?;
        let address = match address {
            HOST_GATEWAY => None,
            address => {
                let plain = address
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'))
                    .unwrap_or(address);
                let parsed = plain.parse::<IpAddr>();
                Some(
                    parsed
                        .map_err(|_not_one| InvalidOption::ExtraHostAddress(address.to_owned()))?,
                )
            }
        };
        Ok(Self { name, address })
    }
}

/// Whether the name stays a name in a line of `/etc/hosts`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('#')
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        let host = ExtraHost::parse("db:10.0.0.1").expect("valid");
        assert_eq!(
            (host.name, host.address),
            ("db", Some([10, 0, 0, 1].into()))
        );
        let host = ExtraHost::parse("db=[::1]").expect("valid");
        assert_eq!(host.address.map(|a| a.to_string()).as_deref(), Some("::1"));
        let host = ExtraHost::parse("v6:::1").expect("valid");
        assert!(host.address.is_some_and(|a| a.is_ipv6()));
        assert_eq!(
            ExtraHost::parse("gw:host-gateway").expect("valid").address,
            None
        );
    }

    #[test]
    fn a_line_of_the_file_cannot_be_broken_out_of() {
        for text in [
            "",
            "db",
            ":1.1.1.1",
            "a\n2.2.2.2 b:1.1.1.1",
            "#x:1.1.1.1",
            "a b:1.1.1.1",
        ] {
            assert!(
                matches!(ExtraHost::parse(text), Err(InvalidOption::ExtraHost(_))),
                "{text:?}"
            );
        }
        for text in [
            "db:",
            "db:1.1.1",
            "db:1.1.1.1\n2.2.2.2 x",
            "db:host-gateway2",
        ] {
            assert!(
                matches!(
                    ExtraHost::parse(text),
                    Err(InvalidOption::ExtraHostAddress(_))
                ),
                "{text:?}"
            );
        }
    }
}
