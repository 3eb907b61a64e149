//! Which namespaces a container shares. Checked is what Docker's client checks; whether the other
//! container exists, and the modes of `--ipc`, are the agent's business.

/// `--pid`.
pub(crate) fn pid(mode: String) -> Result<String, String> {
    let other = mode.strip_prefix("container:");
    let known = matches!(mode.as_str(), "" | "private" | "host");
    let named = other.is_some_and(|name| !name.is_empty());
    checked(mode, known || named, "--pid: invalid PID mode")
}

/// `--uts`.
pub(crate) fn uts(mode: String) -> Result<String, String> {
    let known = matches!(mode.as_str(), "" | "private" | "host");
    checked(mode, known, "--uts: invalid UTS mode")
}

/// `--userns`.
pub(crate) fn users(mode: String) -> Result<String, String> {
    let known = matches!(mode.as_str(), "" | "private" | "host");
    checked(mode, known, "--userns: invalid USER mode")
}

/// `--cgroupns`.
pub(crate) fn cgroup(mode: String) -> Result<String, String> {
    let known = matches!(mode.as_str(), "" | "private" | "host");
    checked(mode, known, "--cgroupns: invalid CGROUP mode")
}

fn checked(mode: String, valid: bool, problem: &str) -> Result<String, String> {
    if valid {
        Ok(mode)
    } else {
        Err(problem.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modes_that_exist_are_taken() {
        for mode in ["", "host", "container:web"] {
            assert_eq!(pid(mode.to_owned()).unwrap(), mode);
        }
        assert_eq!(
            pid("container:".to_owned()).unwrap_err(),
            "--pid: invalid PID mode"
        );
        assert_eq!(
            uts("container:a".to_owned()).unwrap_err(),
            "--uts: invalid UTS mode"
        );
        assert_eq!(
            users("x".to_owned()).unwrap_err(),
            "--userns: invalid USER mode"
        );
        assert_eq!(
            cgroup("x".to_owned()).unwrap_err(),
            "--cgroupns: invalid CGROUP mode"
        );
    }
}
