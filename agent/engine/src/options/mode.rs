//! Modes of namespaces: words, or another container.

/// Returns the container whose namespace is joined.
pub(crate) fn neighbour(mode: &str) -> Option<&str> {
    mode.strip_prefix("container:")
}

/// Whether the mode names a network that somebody made, as opposed to one that is always there.
pub(crate) fn is_user_defined(network_mode: &str) -> bool {
    !matches!(network_mode, "" | "default" | "bridge" | "host" | "none")
        && neighbour(network_mode).is_none()
}
