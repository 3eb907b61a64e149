//! `--sysctl`.

/// Parameters of the IPC namespace.
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Checks `NAME=VALUE`: the parameter must be one that a namespace has for itself.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let own = |name: &str| {
        OF_IPC.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")
    };
    match text.split_once('=') {
        Some((name, _)) if own(name) => Ok(text.to_owned()),
        _ => Err(format!("sysctl '{text}' is not allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_parameters_of_namespaces_are_taken() {
        for text in [
            "net.core.somaxconn=1",
            "fs.mqueue.msg_max=5",
            "kernel.sem=1",
        ] {
            assert_eq!(parse(text).unwrap(), text);
        }
        for text in ["foo", "net.x", "=x", "kernel.panic=1"] {
            assert_eq!(
                parse(text).unwrap_err(),
                format!("sysctl '{text}' is not allowed")
            );
        }
    }
}
