//! What the operator's own SSH configuration says about a host.
//!
//! Read as OpenSSH reads it: the command line's words first, then `~/.ssh/config`, then
//! `/etc/ssh/ssh_config`; the first value that is found counts. Only what this client can honour is
//! kept; all else is passed over, as it is for another client.

mod evaluate;
mod lines;
mod pattern;
mod tokens;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use evaluate::ConfigError;
pub(crate) use pattern::{matches, matches_list};
pub(crate) use tokens::expand_home;

use crate::Endpoint;
use crate::endpoint::Via;
use crate::login::check_host;

/// Names the file to read instead of the operator's own, or `none` for no file at all.
const OVERRIDE: &str = "BERTH_SSH_CONFIG";
/// What is usual where nothing is said.
const DEFAULT_PORT: u16 = 22;
const DEFAULT_USER: &str = "root";
/// Longer chains of jump hosts are taken for a circle.
const MAX_HOPS: usize = 8;

/// Where configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    files: Vec<Source>,
    /// Options of a command line, which count before every file.
    words: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    /// Whether names in it are below the operator's folder, not the system's.
    personal: bool,
    required: bool,
}

/// What is asked of hosts that are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strict {
    /// Nobody new.
    Yes,
    /// Ask the operator.
    #[default]
    Ask,
    /// Write down whoever is new.
    AcceptNew,
}

/// Which agent has the operator's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AgentChoice {
    /// The one that `SSH_AUTH_SOCK` names.
    #[default]
    Environment,
    /// None.
    None,
    /// The one behind this socket.
    Socket(PathBuf),
}

/// Which kind of address to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Either.
    #[default]
    Any,
    /// IP version 4 only.
    V4,
    /// IP version 6 only.
    V6,
}

/// What the configuration says about one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// The host's real name or address.
    pub host_name: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Private keys to try; the usual names when there are none.
    pub identity_files: Vec<PathBuf>,
    /// Certificates for the keys.
    pub certificate_files: Vec<PathBuf>,
    /// Which agent to ask.
    pub agent: AgentChoice,
    /// Whether only the named keys are tried.
    pub identities_only: bool,
    /// Whether the operator must not be asked anything.
    pub batch: bool,
    /// Whether the agent is offered to the host.
    pub forward_agent: bool,
    /// How long a connection may take to be made.
    pub connect_timeout: Option<Duration>,
    /// After how much silence the host is asked whether it is there.
    pub alive_interval: Option<Duration>,
    /// How many such questions may stay unanswered.
    pub alive_max: Option<usize>,
    /// Which kind of address to use.
    pub family: Family,
    /// Files of known hosts; the first is written.
    pub known_hosts: Vec<PathBuf>,
    /// What is asked of unknown hosts.
    pub strict: Strict,
    /// The name under which the host's key is known.
    pub key_alias: Option<String>,
    /// Whether names are hashed when they are written down.
    pub hash_names: bool,
    /// The chain of jump hosts.
    pub jump: Option<String>,
    /// The command whose streams are the connection.
    pub proxy_command: Option<String>,
}

// === impl Config ===

impl Config {
    /// The operator's and the system's files, or what `BERTH_SSH_CONFIG` names.
    #[must_use]
    pub fn of_operator() -> Self {
        match std::env::var_os(OVERRIDE) {
            Some(word) if word == "none" => Self::default(),
            Some(path) if !path.is_empty() => Self::of_file(Path::new(&path)),
            _ => {
                let own = home().map(|home| Source {
                    path: home.join(".ssh/config"),
                    personal: true,
                    required: false,
                });
                let system = Source {
                    path: PathBuf::from("/etc/ssh/ssh_config"),
                    personal: false,
                    required: false,
                };
                Self {
                    files: own.into_iter().chain([system]).collect(),
                    words: Vec::new(),
                }
            }
        }
    }

    /// One file and nothing else.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        Self {
            files: vec![Source {
                path: path.to_owned(),
                personal: true,
                required: true,
            }],
            words: Vec::new(),
        }
    }

    /// Adds an option of a command line, which counts before every file.
    #[must_use]
    pub fn with(mut self, keyword: &str, value: &str) -> Self {
        self.words.push((keyword.to_owned(), value.to_owned()));
        self
    }

    /// Returns what is said about the host called `name`, if `user` logs in.
    ///
    /// # Errors
    ///
    /// When a file that was named cannot be read, or a line of one makes no sense.
    pub fn host(&self, name: &str, user: Option<&str>) -> Result<HostConfig, ConfigError> {
        self.evaluate(name, user, None)
    }

    /// Completes what is known of a host by what is configured for `name`: what is known counts,
    /// the configuration adds the way there and what to log in with.
    ///
    /// A host that is only known by a name that the configuration gives another (`HostName`) is
    /// found there; the name's port and user count where the usual ones (22, `root`) are known.
    ///
    /// # Errors
    ///
    /// As [`Config::host`], when jump hosts make no sense, and when the host or user that is known
    /// has a name that nobody is given.
    pub fn complete(&self, name: &str, known: Endpoint) -> Result<Endpoint, ConfigError> {
        check_host(&known.host)?;
        let config = self.evaluate(name, Some(&known.user), Some(known.port))?;
        let mut known = known;
        if name == known.host
            && let Some(host) = config.host_name.clone().filter(|host| host != name)
        {
            let usual = self.evaluate(name, None, None)?;
            known.host = host;
            if known.port == DEFAULT_PORT {
                known.port = usual.port.unwrap_or(known.port);
            }
            if known.user == DEFAULT_USER {
                known.user = usual.user.unwrap_or(known.user);
            }
        }
        let via = self.via(name, &known.host, &config, MAX_HOPS)?;
        Ok(Endpoint {
            via,
            alias: (name != known.host).then(|| name.to_owned()),
            config,
            ..known
        })
    }

    /// Returns a host that is only known by what `spec` (`[user@]name[:port]`) and the
    /// configuration say.
    ///
    /// # Errors
    ///
    /// As [`Config::complete`].
    pub fn resolve(&self, spec: &str) -> Result<Endpoint, ConfigError> {
        self.resolve_within(spec, None, MAX_HOPS)
    }

    fn resolve_within(
        &self,
        spec: &str,
        before: Option<&str>,
        hops: usize,
    ) -> Result<Endpoint, ConfigError> {
        let (user, name, port) = split(spec).ok_or_else(|| ConfigError::Jump(spec.to_owned()))?;
        if hops == 0 {
            return Err(ConfigError::Circle(spec.to_owned()));
        }
        let mut config = self.evaluate(&name, user.as_deref(), port)?;
        if let Some(before) = before {
            // The hosts named before this one are its way, whatever is configured for it alone.
            config.proxy_command = None;
            config.jump = Some(before.to_owned());
        }
        let host = config.host_name.clone().unwrap_or_else(|| name.clone());
        let via = self.via(&name, &host, &config, hops - 1)?;
        Ok(Endpoint {
            alias: (name != host).then(|| name.clone()),
            host,
            port: port.or(config.port).unwrap_or(DEFAULT_PORT),
            user: user
                .or_else(|| config.user.clone())
                .unwrap_or_else(local_user),
            key: None,
            via,
            config,
        })
    }

    fn via(
        &self,
        name: &str,
        host: &str,
        config: &HostConfig,
        hops: usize,
    ) -> Result<Via, ConfigError> {
        if let Some(command) = &config.proxy_command {
            return Ok(Via::Command(command.clone()));
        }
        let Some(chain) = &config.jump else {
            return Ok(Via::Direct);
        };
        let (before, last) = match chain.rsplit_once(',') {
            Some((before, last)) => (Some(before), last),
            None => (None, chain.as_str()),
        };
        let jump = Self {
            files: self.files.clone(),
            words: Vec::new(),
        };
        let last = last.strip_prefix("ssh://").unwrap_or(last);
        // A pattern that holds for all hosts holds for the jump host itself: it is not its own way.
        let jump_name = split(last).map(|(_, name, _)| name);
        if before.is_none() && jump_name.is_some_and(|jump| jump == name || jump == host) {
            return Ok(Via::Direct);
        }
        let endpoint = jump.resolve_within(last, before, hops)?;
        Ok(Via::Jump(Box::new(endpoint)))
    }
}

/// Splits `[user@]name[:port]`, the name in brackets where it has colons.
fn split(spec: &str) -> Option<(Option<String>, String, Option<u16>)> {
    let (user, rest) = match spec.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, spec),
    };
    let (name, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (name, tail) = rest.split_once(']')?;
        (name, tail.strip_prefix(':'))
    } else if rest.matches(':').count() == 1 {
        let (name, port) = rest.split_once(':')?;
        (name, Some(port))
    } else {
        (rest, None)
    };
    let port = port.map(str::parse).transpose().ok()?;
    (!name.is_empty() && user.as_deref() != Some("")).then(|| (user, name.to_owned(), port))
}

/// Returns the operator's home.
pub(crate) fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    home.map(PathBuf::from).or_else(|| Some(account()?.dir))
}

/// Returns the operator's name on this host.
pub(crate) fn local_user() -> String {
    account().map_or_else(|| "root".to_owned(), |account| account.name)
}

fn account() -> Option<nix::unistd::User> {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
}

#[cfg(test)]
mod tests;
