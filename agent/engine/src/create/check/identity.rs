//! Checks of names and texts that end up in the kernel or in files of the container.

use super::InvalidOption;
use crate::container::record::MergedConfig;
use crate::options::ContainerOptions;

pub(super) fn check(
    options: &ContainerOptions,
    config: &MergedConfig,
) -> Result<(), InvalidOption> {
    for word in &config.env {
        if word.is_empty() || word.starts_with('=') {
            return Err(InvalidOption::Environment(word.clone()));
        }
    }
    let words = config.entrypoint.iter().chain(&config.command);
    let has_nul =
        |mut words: Box<dyn Iterator<Item = &String> + '_>| words.any(|w| w.contains('\0'));
    for (what, is_wrong) in [
        ("command", has_nul(Box::new(words))),
        ("environment variable", has_nul(Box::new(config.env.iter()))),
        ("working directory", config.working_dir.contains('\0')),
        ("user", config.user.contains('\0')),
    ] {
        if is_wrong {
            return Err(InvalidOption::Nul(what));
        }
    }
    let is_domain = options.domainname.is_empty() || check_hostname(&options.domainname);
    if !is_domain {
        return Err(InvalidOption::Domain(options.domainname.clone()));
    }
    for domain in &options.host.dns_search {
        let is_line = domain.bytes().all(|b| b.is_ascii_graphic());
        if domain.is_empty() || !is_line {
            return Err(InvalidOption::Domain(domain.clone()));
        }
    }
    let is_word = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    match options
        .host
        .dns_options
        .iter()
        .find(|option| !is_word(option))
    {
        Some(option) => Err(InvalidOption::Domain(option.clone())),
        None => Ok(()),
    }
}

/// Whether the kernel and name servers would take it.
pub(crate) fn check_hostname(hostname: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    // The kernel keeps at most 64 bytes.
    hostname.is_empty() || (hostname.len() <= 64 && hostname.split('.').all(is_label))
}
