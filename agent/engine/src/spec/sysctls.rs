//! Kernel parameters of a container's own namespaces.

use std::collections::HashMap;

use super::{NetworkNamespace, SpecInput};
use crate::create::check::sysctl::normalized;

/// What an ordinary user of a network of its own may do: serve on low ports, and ping. Docker's.
const NETWORK: [(&str, &str); 2] = [
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.ping_group_range", "0 2147483647"),
];

/// Returns the parameters by name; what was asked for prevails.
pub(super) fn sysctls(input: &SpecInput<'_>) -> HashMap<String, String> {
    let mut all = HashMap::new();
    // The namespace of another is as that one wanted it.
    if matches!(input.network, NetworkNamespace::Path(_)) {
        all.extend(NETWORK.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    if !input.domainname.is_empty() && input.host.uts_mode != "host" {
        all.insert("kernel.domainname".to_owned(), input.domainname.to_owned());
    }
    for (name, value) in &input.host.sysctls {
        all.insert(normalized(name), value.clone());
    }
    all
}
