//! Which lines hold for a host, and what they say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::lines::{Line, lines, parse};
use super::pattern::matches_list;
use super::tokens::{self, Facts};
use super::values::{check, glob, is_none, seconds, strict, truth};
use super::{AgentChoice, Config, Family, HostConfig, home, local_user};
use crate::login::{NameError, check_host, check_user};

/// How deep files may include each other.
const MAX_DEPTH: usize = 16;

/// The operator's SSH configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("ssh configuration {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line makes no sense.
    #[error("ssh configuration {} line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A jump host is not `[user@]host[:port]`.
    #[error("jump host {0:?} is not of the form [user@]host[:port]")]
    Jump(String),
    /// What is known of the host is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Jump hosts lead to each other.
    #[error("jump host {0:?}: too many jump hosts, or they lead in a circle")]
    Circle(String),
}

/// One reading of all sources for one host.
struct Reading<'a> {
    name: &'a str,
    user: Option<&'a str>,
    port: Option<u16>,
    found: Found,
    /// Whether this is the last of two readings, which `Match final` asks for.
    last: bool,
    wants_last: bool,
}

/// Values as they are written.
#[derive(Default)]
struct Found {
    values: Vec<(String, Line)>,
    identities: Vec<String>,
    certificates: Vec<String>,
}

// === impl Config ===

impl Config {
    pub(super) fn evaluate(
        &self,
        name: &str,
        user: Option<&str>,
        port: Option<u16>,
    ) -> Result<HostConfig, ConfigError> {
        // Before anything else: lines may put them into commands.
        check_host(name)?;
        user.map_or(Ok(()), check_user)?;
        let mut reading = Reading {
            name,
            user,
            port,
            found: Found::default(),
            last: false,
            wants_last: false,
        };
        for (keyword, value) in &self.words {
            let line = parse(&format!("{keyword} {value}"), 0);
            let line = line.ok_or_else(|| bad(Path::new("-o"), 0, "a quote is left open"))?;
            reading.take(line);
        }
        reading.read_all(self)?;
        if reading.wants_last {
            reading.last = true;
            // The last reading takes the host's name as settled by the first.
            if reading.found.line("hostname").is_none()
                && let Some(line) = parse(&format!("hostname \"{name}\""), 0)
            {
                reading.take(line);
            }
            reading.read_all(self)?;
        }
        reading.finish()
    }
}

// === impl Reading ===

impl Reading<'_> {
    fn read_all(&mut self, config: &Config) -> Result<(), ConfigError> {
        for source in &config.files {
            let text = match fs::read_to_string(&source.path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !source.required => {
                    continue;
                }
                Err(error) => {
                    return Err(ConfigError::Unreadable {
                        path: source.path.clone(),
                        source: error,
                    });
                }
            };
            self.read(&text, &source.path, source.personal, true, MAX_DEPTH)?;
        }
        Ok(())
    }

    /// Reads one file; nothing of it counts unless `active`.
    fn read(
        &mut self,
        text: &str,
        path: &Path,
        personal: bool,
        active: bool,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let mut holds = active;
        for line in lines(text) {
            let line = line.map_err(|number| bad(path, number, "a quote is left open"))?;
            match line.keyword.as_str() {
                "host" => {
                    holds =
                        active && matches_list(line.words.iter().map(String::as_str), self.name);
                }
                "match" => holds = active && self.matches(&line, path)?,
                "include" => {
                    if depth == 0 {
                        return Err(bad(
                            path,
                            line.number,
                            "files include each other too deeply",
                        ));
                    }
                    for word in &line.words {
                        self.include(word, personal, holds, depth)?;
                    }
                }
                _ if holds && line.words.is_empty() => {
                    return Err(bad(path, line.number, "the value is missing"));
                }
                _ if holds => {
                    check(&line).map_err(|problem| bad(path, line.number, &problem))?;
                    self.take(line);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        word: &str,
        personal: bool,
        active: bool,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let mut pattern = tokens::path(word).unwrap_or_else(|| PathBuf::from(word));
        if pattern.is_relative() {
            let folder = if personal {
                home().map(|home| home.join(".ssh"))
            } else {
                Some(PathBuf::from("/etc/ssh"))
            };
            pattern = folder.unwrap_or_default().join(pattern);
        }
        for path in glob(&pattern) {
            // One that has gone or may not be read is passed over, as OpenSSH does it.
            if let Ok(text) = fs::read_to_string(&path) {
                self.read(&text, &path, personal, active, depth - 1)?;
            }
        }
        Ok(())
    }

    fn matches(&mut self, line: &Line, path: &Path) -> Result<bool, ConfigError> {
        let mut words = line.words.iter();
        let mut holds = true;
        while let Some(word) = words.next() {
            let (negated, word) = match word.strip_prefix('!') {
                Some(word) => (true, word),
                None => (false, word.as_str()),
            };
            let (criterion, given) = match word.split_once('=') {
                Some((criterion, value)) => (criterion, Some(value.to_owned())),
                None => (word, None),
            };
            let criterion = criterion.to_lowercase();
            let hit = match criterion.as_str() {
                "all" => true,
                // Names are never made canonical here.
                "canonical" => false,
                "final" => {
                    self.wants_last = true;
                    self.last
                }
                _ => {
                    let value = given.or_else(|| words.next().cloned()).ok_or_else(|| {
                        bad(path, line.number, &format!("{criterion} needs a value"))
                    })?;
                    // A command is not run for what cannot hold any more.
                    holds && self.criterion(&criterion, &value, line, path)?
                }
            };
            holds &= hit != negated;
        }
        Ok(holds)
    }

    fn criterion(
        &self,
        criterion: &str,
        value: &str,
        line: &Line,
        path: &Path,
    ) -> Result<bool, ConfigError> {
        let list = |text: &str| matches_list(value.split(','), text);
        Ok(match criterion {
            "host" => list(&self.host_name()),
            "originalhost" => list(self.name),
            "user" => list(&self.user_name()),
            "localuser" => list(&local_user()),
            "exec" => {
                let command = self.expanded(value).ok_or_else(|| {
                    bad(
                        path,
                        line.number,
                        "the command has a token that does not exist",
                    )
                })?;
                let status = Command::new("/bin/sh")
                    .args(["-c", &command])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .status();
                status.is_ok_and(|status| status.success())
            }
            other => {
                return Err(bad(
                    path,
                    line.number,
                    &format!("Match {other} is not known"),
                ));
            }
        })
    }

    fn take(&mut self, line: Line) {
        let Some(first) = line.words.first().cloned() else {
            return;
        };
        match line.keyword.as_str() {
            "identityfile" => add(&mut self.found.identities, first),
            "certificatefile" => add(&mut self.found.certificates, first),
            // Whichever of the two comes first turns the other off.
            "proxyjump" | "proxycommand" => self.found.put("proxy", line),
            keyword => {
                let keyword = keyword.to_owned();
                self.found.put(&keyword, line);
            }
        }
    }

    fn host_name(&self) -> String {
        match self.found.get("hostname") {
            Some(text) => text.replace("%h", self.name).replace("%%", "%"),
            None => self.name.to_owned(),
        }
    }

    fn user_name(&self) -> String {
        self.user
            .map(ToOwned::to_owned)
            .or_else(|| self.found.get("user").map(ToOwned::to_owned))
            .unwrap_or_else(local_user)
    }

    fn port(&self) -> Option<u16> {
        self.port
            .or_else(|| self.found.get("port").and_then(|port| port.parse().ok()))
    }

    fn expanded(&self, text: &str) -> Option<String> {
        let (host, user) = (self.host_name(), self.user_name());
        let facts = Facts {
            name: self.name,
            host: &host,
            port: self.port().unwrap_or(22),
            user: &user,
            alias: self.found.get("hostkeyalias").unwrap_or(self.name),
        };
        tokens::expand(text, &facts)
    }

    fn path(&self, text: &str) -> Result<PathBuf, ConfigError> {
        // What the operator's environment lacks is a mistake to tell, not a file to look for.
        let path = self.expanded(text).and_then(|text| tokens::path(&text));
        path.ok_or_else(|| ConfigError::Line {
            path: PathBuf::from("ssh_config"),
            line: 0,
            problem: format!("path {text:?} has a token or variable that does not exist"),
        })
    }

    fn paths(&self, texts: &[String]) -> Result<Vec<PathBuf>, ConfigError> {
        let named = texts.iter().filter(|text| !is_none(text));
        let mut paths = Vec::new();
        for text in named {
            let path = self.path(text)?;
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    fn finish(self) -> Result<HostConfig, ConfigError> {
        let found = &self.found;
        let yes = |keyword| found.get(keyword).and_then(truth).unwrap_or(false);
        let number = |keyword| found.get(keyword).and_then(seconds);
        let mut known_hosts = Vec::new();
        for (keyword, usual) in [
            (
                "userknownhostsfile",
                "~/.ssh/known_hosts ~/.ssh/known_hosts2",
            ),
            (
                "globalknownhostsfile",
                "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2",
            ),
        ] {
            let texts = match found.line(keyword) {
                Some(line) => line.words.clone(),
                None => usual.split(' ').map(ToOwned::to_owned).collect(),
            };
            known_hosts.extend(self.paths(&texts)?);
        }
        let agent = match found.get("identityagent") {
            None | Some("SSH_AUTH_SOCK") => AgentChoice::Environment,
            Some(text) if is_none(text) => AgentChoice::None,
            Some(text) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
                Some(name) => std::env::var_os(name)
                    .map_or(AgentChoice::None, |path| AgentChoice::Socket(path.into())),
                None => AgentChoice::Socket(self.path(text)?),
            },
        };
        let (jump, proxy_command) = self.proxy()?;
        Ok(HostConfig {
            host_name: found
                .get("hostname")
                .map(|_| self.host_name())
                .filter(|host| host != self.name),
            user: found.get("user").map(ToOwned::to_owned),
            port: found.get("port").and_then(|port| port.parse().ok()),
            identity_files: self.paths(&found.identities)?,
            certificate_files: self.paths(&found.certificates)?,
            agent,
            identities_only: yes("identitiesonly"),
            batch: yes("batchmode"),
            forward_agent: yes("forwardagent"),
            connect_timeout: number("connecttimeout"),
            alive_interval: number("serveraliveinterval"),
            alive_max: found
                .get("serveralivecountmax")
                .and_then(|text| text.parse().ok()),
            family: match found.get("addressfamily").map(str::to_lowercase).as_deref() {
                Some("inet") => Family::V4,
                Some("inet6") => Family::V6,
                _ => Family::Any,
            },
            known_hosts,
            strict: strict(found.get("stricthostkeychecking")),
            key_alias: found.get("hostkeyalias").map(ToOwned::to_owned),
            hash_names: yes("hashknownhosts"),
            jump,
            proxy_command,
        })
    }

    /// Returns the jump hosts and the command in whose place they are, tokens replaced.
    fn proxy(&self) -> Result<(Option<String>, Option<String>), ConfigError> {
        let Some(line) = self.found.line("proxy").filter(|line| !is_none(&line.rest)) else {
            return Ok((None, None));
        };
        let expanded = self
            .expanded(&line.rest)
            .ok_or_else(|| bad(Path::new("ssh_config"), line.number, "unknown token"))?;
        Ok(if line.keyword == "proxyjump" {
            (Some(expanded), None)
        } else {
            (None, Some(expanded))
        })
    }
}

// === impl Found ===

impl Found {
    fn put(&mut self, keyword: &str, line: Line) {
        if self.line(keyword).is_none() {
            self.values.push((keyword.to_owned(), line));
        }
    }

    fn line(&self, keyword: &str) -> Option<&Line> {
        let entry = self.values.iter().find(|(known, _)| known == keyword);
        entry.map(|(_, line)| line)
    }

    fn get(&self, keyword: &str) -> Option<&str> {
        self.line(keyword)?.words.first().map(String::as_str)
    }
}

fn bad(path: &Path, line: usize, problem: &str) -> ConfigError {
    ConfigError::Line {
        path: path.to_owned(),
        line,
        problem: problem.to_owned(),
    }
}

fn add(texts: &mut Vec<String>, text: String) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}
