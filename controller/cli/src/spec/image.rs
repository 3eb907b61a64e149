//! Image names, as far as the client must understand them.

/// The registry that a name without one means.
pub(crate) const DOCKER_HUB: &str = "docker.io";

/// Says whether a name has neither tag nor digest.
pub(crate) fn is_bare(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    !last.contains(':') && !name.contains('@')
}

/// The name with the tag that a bare name means.
pub(crate) fn with_tag(name: &str) -> String {
    if is_bare(name) {
        format!("{name}:latest")
    } else {
        name.to_owned()
    }
}

/// The registry's host (and port) of a name.
pub(crate) fn registry(name: &str) -> &str {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        // Capitals are not allowed in a repository, hence it must be a host.
        Some((host, _)) if host.chars().any(char::is_uppercase) => host,
        _ => DOCKER_HUB,
    }
}

/// A full name as people write it: without Docker's own registry.
pub(crate) fn familiar(reference: &str) -> &str {
    let Some(path) = reference.strip_prefix("docker.io/") else {
        return reference;
    };
    match path.strip_prefix("library/") {
        Some(name) if !name.contains('/') => name,
        _ => path,
    }
}

/// Cuts a familiar reference into repository, tag and digest.
pub(crate) fn split(reference: &str) -> (&str, Option<&str>, Option<&str>) {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag), digest),
        _ => (name, None, digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(with_tag("reg:5000/app"), "reg:5000/app:latest");
        assert_eq!(with_tag("reg:5000/app:1"), "reg:5000/app:1");
        assert_eq!(with_tag("app@sha256:00"), "app@sha256:00");
        assert_eq!(split("reg:5000/app"), ("reg:5000/app", None, None));
        assert_eq!(
            split("app:1@sha256:00"),
            ("app", Some("1"), Some("sha256:00"))
        );
    }

    #[test]
    fn the_hub_goes_without_saying() {
        assert_eq!(
            familiar("docker.io/library/busybox:latest"),
            "busybox:latest"
        );
        assert_eq!(familiar("docker.io/team/app:1"), "team/app:1");
        assert_eq!(familiar("reg:5000/library/x:1"), "reg:5000/library/x:1");
    }

    #[test]
    fn the_first_part_is_a_registry_when_it_looks_like_a_host() {
        assert_eq!(registry("busybox"), "docker.io");
        assert_eq!(registry("team/app"), "docker.io");
        assert_eq!(registry("localhost/app"), "localhost");
        assert_eq!(registry("127.0.0.1:5000/a/b:1"), "127.0.0.1:5000");
        assert_eq!(registry("ghcr.io/a/b"), "ghcr.io");
    }
}
