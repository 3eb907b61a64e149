//! Names and addresses: `--add-host`, `--dns` and `--dns-search`.

use std::net::IpAddr;

use crate::ui::quote::quoted;

/// Word for the machine's own address, which only the agent knows.
const HOST_GATEWAY: &str = "host-gateway";

/// Longest domain name.
const DOMAIN_LENGTH: usize = 255;

/// Reads `HOST:IP` or `HOST=IP`, the address perhaps in brackets; returns `HOST:IP`.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, given)) = parts.filter(|(name, _)| !name.is_empty() && !name.contains(':'))
    else {
        return Err(format!("bad format for add-host: {}", quoted(text)));
    };
    let inside = given
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let shown = inside.filter(|inside| !inside.is_empty()).unwrap_or(given);
    if shown != HOST_GATEWAY && address(shown).is_err() {
        return Err(format!("invalid IP address in add-host: {}", quoted(shown)));
    }
    Ok(format!("{name}:{shown}"))
}

/// Reads an address; returns it as it is usually written.
pub(crate) fn address(text: &str) -> Result<String, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// Checks a domain to look names up in; a dot stands for none.
pub(crate) fn search_domain(text: &str) -> Result<String, String> {
    let domain = text.trim_matches(' ');
    if domain == "." {
        return Ok(domain.to_owned());
    }
    let labels = domain.trim_end();
    let labels = labels.strip_suffix('.').unwrap_or(labels);
    let letters = domain.chars().any(|c| c.is_ascii_alphabetic());
    if letters && labels.len() < DOMAIN_LENGTH && labels.split('.').all(is_label) {
        Ok(labels.to_owned())
    } else {
        Err(format!("{domain} is not a valid domain"))
    }
}

fn is_label(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !text.is_empty() && text.chars().all(letters) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_hosts_are_written_one_way() {
        assert_eq!(parse("db=[::1]").unwrap(), "db:::1");
        assert_eq!(parse("db:::1").unwrap(), "db:::1");
        assert_eq!(parse("db:10.0.0.1").unwrap(), "db:10.0.0.1");
        assert_eq!(parse("gate=host-gateway").unwrap(), "gate:host-gateway");
        assert_eq!(
            parse("foo").unwrap_err(),
            "bad format for add-host: \"foo\""
        );
        assert_eq!(
            parse("a:b=1.2.3.4").unwrap_err(),
            "bad format for add-host: \"a:b=1.2.3.4\""
        );
        assert_eq!(
            parse("a=[::1").unwrap_err(),
            "invalid IP address in add-host: \"[::1\""
        );
    }

    #[test]
    fn addresses_are_written_the_usual_way() {
        assert_eq!(address(" 1.1.1.1").unwrap(), "1.1.1.1");
        assert_eq!(address("0:0:0:0:0:0:0:1").unwrap(), "::1");
        assert_eq!(
            address("foo").unwrap_err(),
            "IP address is not correctly formatted: foo"
        );
    }

    #[test]
    fn domains_have_letters_and_labels() {
        assert_eq!(search_domain("Corp.example.").unwrap(), "Corp.example");
        assert_eq!(search_domain(".").unwrap(), ".");
        for text in ["-", "1.2", "a..b", "-a.b", "a_b"] {
            assert_eq!(
                search_domain(text).unwrap_err(),
                format!("{text} is not a valid domain")
            );
        }
    }
}
