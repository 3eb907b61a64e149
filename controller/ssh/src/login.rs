//! Names of hosts and users that come from outside, such as out of a record that somebody else wrote.
//!
//! They end up among the words of programs and, by `%h` and `%r` of the operator's own
//! configuration, in commands for a shell. What could do harm there is no name, as OpenSSH has it.

/// Characters that mean something to a shell, inside of quotes or outside.
const SHELL: &str = "'`\"$\\;&<>|(){}";

/// A name that no host or user is given, and that could be meant for a shell or as an option.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// A host.
    #[error(
        "host name {0:?} is refused: it begins with \"-\", or has blanks or characters of a shell"
    )]
    Host(String),
    /// A user.
    #[error(
        "user name {0:?} is refused: it begins with \"-\", or has blanks or characters of a shell"
    )]
    User(String),
}

/// Makes sure that `host` is nothing but the name or the address of a host.
///
/// # Errors
///
/// When it begins as an option does, or holds what a shell would not leave alone.
pub fn check_host(host: &str) -> Result<(), NameError> {
    if is_harmless(host) && !host.contains('\\') {
        Ok(())
    } else {
        Err(NameError::Host(host.to_owned()))
    }
}

/// Makes sure that `user` is nothing but the name of a user. `DOMAIN\user` is one.
///
/// # Errors
///
/// When it begins as an option does, or holds what a shell would not leave alone.
pub fn check_user(user: &str) -> Result<(), NameError> {
    // The last backslash would take the meaning of what comes after the name.
    if is_harmless(user) && !user.ends_with('\\') {
        Ok(())
    } else {
        Err(NameError::User(user.to_owned()))
    }
}

fn is_harmless(name: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || (SHELL.contains(c) && c != '\\');
    !name.starts_with('-') && !name.contains(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_users_pass() {
        for host in ["web-1.example.org", "192.0.2.1", "fe80::1%eth0", "a_b", ""] {
            assert_eq!(check_host(host), Ok(()), "{host}");
        }
        for user in [
            "root",
            "j.doe",
            r"CORP\jane",
            "me@corp.example",
            "x-y",
            "Jörg",
            "",
        ] {
            assert_eq!(check_user(user), Ok(()), "{user}");
        }
    }

    #[test]
    fn options_blanks_and_words_of_a_shell_are_refused() {
        for bad in [
            "-oProxyCommand=touch /x;#",
            "-l",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "$(x)",
            "${IFS}",
            "$HOME",
            "`x`",
            "a;b",
            "a&b",
            "a|b",
            "a>b",
            "a<b",
            "a'b",
            "a\"b",
            "{a,b}",
            "(a)",
            "a\\",
        ] {
            assert!(check_host(bad).is_err(), "{bad:?}");
            assert!(check_user(bad).is_err(), "{bad:?}");
        }
        assert!(check_host(r"a\b").is_err());
    }
}
