//! The words after a machine's name, read as the system's `ssh` reads them after a host.

use std::path::PathBuf;

use crate::{Forward, ForwardError};

/// Options of `ssh` that take a value.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOopQRSWwP";
/// Options of `ssh` without one.
const BARE: &str = "1246AaCfGgKkMNnqsTtVvXxYy";

/// What is asked of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Ports of ours that lead to the host's side.
    pub local: Vec<Forward>,
    /// Ports of the host that lead to our side.
    pub remote: Vec<Forward>,
    /// How often a terminal was asked for; twice means even without one here.
    pub terminal: u8,
    /// Whether no terminal shall be made.
    pub no_terminal: bool,
    /// Whether nothing is run, only forwards are served.
    pub nothing: bool,
    /// Whether the command reads nothing.
    pub no_input: bool,
    /// Whether the operator's agent is offered; `None` for what the configuration says.
    pub agent: Option<bool>,
    /// Whether the command is the name of a subsystem.
    pub subsystem: bool,
    /// A place on the host's side that our input and output are joined with.
    pub stdio: Option<(String, u16)>,
    /// The user instead of the machine's.
    pub user: Option<String>,
    /// The port instead of the machine's.
    pub port: Option<u16>,
    /// The key instead of the machine's.
    pub key: Option<PathBuf>,
    /// Words of configuration.
    pub config: Vec<(String, String)>,
    /// A file of configuration instead of the operator's.
    pub config_file: Option<PathBuf>,
    /// The command, as one line for the remote shell.
    pub command: Option<String>,
}

/// Something that only the system's `ssh` can do, or nobody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Beyond {
    /// `ssh` knows the option, this client does not.
    #[error("option {0} is only known to the system's ssh program")]
    System(String),
    /// Nobody knows the option.
    #[error("option {0} is not known")]
    Unknown(String),
    /// The option lacks its value.
    #[error("option {0} needs a value")]
    Valueless(String),
    /// The value makes no sense.
    #[error("value {value:?} of option {option} makes no sense")]
    Value {
        /// The option.
        option: String,
        /// Its value.
        value: String,
    },
    /// A forward makes no sense.
    #[error(transparent)]
    Forward(#[from] ForwardError),
}

impl Options {
    /// Reads words: options first, then the command; `--` ends the options.
    ///
    /// # Errors
    ///
    /// When an option is beyond this client or wrong.
    pub fn parse(words: &[String]) -> Result<Self, Beyond> {
        let mut options = Self::default();
        let mut words = words.iter();
        let mut command = Vec::new();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                command.push(word.as_str());
                break;
            };
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                if !WITH_VALUE.contains(letter) {
                    options.bare(letter)?;
                    continue;
                }
                let tail = letters.as_str();
                let value = if tail.is_empty() {
                    let next = words.next();
                    next.ok_or_else(|| Beyond::Valueless(format!("-{letter}")))?
                } else {
                    tail
                };
                options.valued(letter, value)?;
                break;
            }
        }
        command.extend(words.map(String::as_str));
        // As ssh does: the words are one line for the remote shell.
        options.command = (!command.is_empty()).then(|| command.join(" "));
        Ok(options)
    }

    fn bare(&mut self, letter: char) -> Result<(), Beyond> {
        match letter {
            'A' => self.agent = Some(true),
            'a' => self.agent = Some(false),
            'N' => self.nothing = true,
            'n' => self.no_input = true,
            'T' => self.no_terminal = true,
            't' => self.terminal += 1,
            's' => self.subsystem = true,
            '4' => self.put("AddressFamily", "inet"),
            '6' => self.put("AddressFamily", "inet6"),
            // Compression, what is said, and what is off anyway.
            'C' | 'q' | 'v' | 'x' | 'k' => {}
            letter if BARE.contains(letter) => return Err(Beyond::System(format!("-{letter}"))),
            letter => return Err(Beyond::Unknown(format!("-{letter}"))),
        }
        Ok(())
    }

    fn valued(&mut self, letter: char, value: &str) -> Result<(), Beyond> {
        let wrong = || Beyond::Value {
            option: format!("-{letter}"),
            value: value.to_owned(),
        };
        match letter {
            'L' => self.local.push(value.parse()?),
            'D' => self.local.push(Forward::dynamic(value)?),
            'R' => {
                // A port alone is a proxy on the host's side; sockets there are not served either.
                let forward: Forward = value
                    .parse()
                    .map_err(|_form: ForwardError| Beyond::System(format!("-R {value}")))?;
                if matches!(forward.listen, crate::Place::Socket(_)) {
                    return Err(Beyond::System(format!("-R {value}")));
                }
                self.remote.push(forward);
            }
            'l' => self.user = Some(value.to_owned()),
            'p' => self.port = Some(value.parse().map_err(|_not_number| wrong())?),
            'i' => self.key = Some(crate::config::expand_home(value)),
            'F' => self.config_file = Some(PathBuf::from(value)),
            'J' => self.put("ProxyJump", value),
            'W' => {
                let (host, port) = value.rsplit_once(':').ok_or_else(wrong)?;
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let port = port.parse().map_err(|_not_number| wrong())?;
                self.stdio = Some((host.to_owned(), port));
            }
            'o' => {
                let end = value.find(['=', ' ', '\t']).ok_or_else(wrong)?;
                let (keyword, rest) = (&value[..end], value[end + 1..].trim());
                self.word(keyword, rest, value)?;
            }
            letter => return Err(Beyond::System(format!("-{letter}"))),
        }
        Ok(())
    }

    /// Takes a word of configuration that this client can honour.
    fn word(&mut self, keyword: &str, value: &str, whole: &str) -> Result<(), Beyond> {
        let wrong = || Beyond::Value {
            option: "-o".to_owned(),
            value: whole.to_owned(),
        };
        match keyword.to_lowercase().as_str() {
            "user" => self.user = Some(value.to_owned()),
            "port" => self.port = Some(value.parse().map_err(|_not_number| wrong())?),
            "identityfile" => self.key = Some(crate::config::expand_home(value)),
            "forwardagent" if matches!(value, "yes" | "no") => self.agent = Some(value == "yes"),
            "requesttty" => match value {
                "no" => self.no_terminal = true,
                "yes" => self.terminal = 1,
                "force" => self.terminal = 2,
                _ => {}
            },
            "localforward" | "remoteforward" => {
                let spec = value.split_whitespace().collect::<Vec<_>>().join(":");
                let letter = if keyword.to_lowercase().starts_with('l') {
                    'L'
                } else {
                    'R'
                };
                return self.valued(letter, &spec);
            }
            "proxyjump"
            | "proxycommand"
            | "connecttimeout"
            | "serveraliveinterval"
            | "serveralivecountmax"
            | "addressfamily"
            | "batchmode"
            | "identityagent"
            | "certificatefile" => self.put(keyword, value),
            // The pinned key is stricter than any of these; the rest is about saying more or less.
            "stricthostkeychecking"
            | "userknownhostsfile"
            | "globalknownhostsfile"
            | "checkhostip"
            | "loglevel"
            | "passwordauthentication"
            | "controlmaster"
            | "controlpath"
            | "compression"
            | "identitiesonly"
            | "connectionattempts" => {}
            _ => return Err(Beyond::System(format!("-o {whole}"))),
        }
        Ok(())
    }

    fn put(&mut self, keyword: &str, value: &str) {
        self.config.push((keyword.to_owned(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Options, Beyond> {
        let words: Vec<String> = text.split(' ').map(ToOwned::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_come_before_the_command_and_end_with_it() {
        let options = parsed("-C echo -t foo").unwrap();
        assert_eq!(options.command.as_deref(), Some("echo -t foo"));
        assert_eq!(options.terminal, 0);
        let options = parsed("-tt -- -x").unwrap();
        assert_eq!(
            (options.terminal, options.command.as_deref()),
            (2, Some("-x"))
        );
        let options = parsed("-NTL 8080:localhost:80 -p2222").unwrap();
        assert!(options.nothing && options.no_terminal);
        assert_eq!((options.local.len(), options.port), (1, Some(2222)));
        assert_eq!(options.command, None);
        let options = parsed("ls -- a").unwrap();
        assert_eq!(options.command.as_deref(), Some("ls -- a"));
    }

    #[test]
    fn words_of_configuration_are_taken_or_named() {
        let options = parsed("-oPort=5 -o User=me -J a,b -o StrictHostKeyChecking=no w").unwrap();
        assert_eq!(
            (options.port, options.user.as_deref()),
            (Some(5), Some("me"))
        );
        assert_eq!(options.config, [("ProxyJump".to_owned(), "a,b".to_owned())]);
        let beyond = parsed("-o PKCS11Provider=/x w").unwrap_err();
        assert!(matches!(beyond, Beyond::System(_)), "{beyond}");
    }

    #[test]
    fn what_only_ssh_can_do_and_what_nobody_can_are_told_apart() {
        assert!(matches!(parsed("-X"), Err(Beyond::System(_))));
        assert!(matches!(parsed("-R 9000"), Err(Beyond::System(_))));
        assert!(matches!(parsed("-Z"), Err(Beyond::Unknown(_))));
        assert!(matches!(parsed("-L"), Err(Beyond::Valueless(_))));
        assert!(matches!(parsed("-L 1"), Err(Beyond::Forward(_))));
        assert!(matches!(parsed("-p many"), Err(Beyond::Value { .. })));
    }
}
