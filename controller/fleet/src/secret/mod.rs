//! Secrets of drivers that are kept elsewhere: the store has a reference, never the value.
//!
//! `env:NAME`, `file:PATH` and `cred:HELPER/KEY` (docker's credential helpers) are looked up each
//! time that a driver has to work with them. What the driver writes down, says or fails with goes
//! through a veil that puts the reference where the value was.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use berth_provisioners_api::{FlagSpec, FlagValue, FlagValues};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// How long a credential helper may take; it may ask a person.
const HELPER_LIMIT: Duration = Duration::from_secs(120);
/// How often a helper is looked at.
const HELPER_PAUSE: Duration = Duration::from_millis(5);
/// How long a helper that has ended may keep its answer open: another process may have inherited it.
const HELPER_REST: Duration = Duration::from_millis(500);
/// The longest answer of a helper, and the largest file with a secret.
const MAX_BYTES: u64 = 64 * 1024;
/// A value shorter than this is only replaced where it is the whole text: as a part, it would be
/// found where it is not meant.
const MIN_PART: usize = 6;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reference {
    Environment(String),
    File(PathBuf),
    Helper { helper: String, key: String },
}

/// A secret cannot be had from where it is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The reference itself makes no sense.
    #[error("flag --{flag}: {reference:?} does not say where the secret is: {problem}")]
    Reference {
        /// The flag.
        flag: String,
        /// What was given.
        reference: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The variable is not set.
    #[error("flag --{flag}: environment variable {variable} is not set")]
    Unset {
        /// The flag.
        flag: String,
        /// The variable.
        variable: String,
    },
    /// The file cannot be read.
    #[error("flag --{flag}: file {} cannot be read", path.display())]
    File {
        /// The flag.
        flag: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The value is empty or no text.
    #[error("flag --{flag}: the secret at {reference} is empty, too long or no text")]
    Value {
        /// The flag.
        flag: String,
        /// Where it is.
        reference: String,
    },
    /// Nobody could be sent to look.
    #[error("the secrets of the driver could not be looked up")]
    Nobody(#[source] std::io::Error),
    /// The helper failed.
    #[error("flag --{flag}: {program} gave no secret for {key:?}: {said}")]
    Helper {
        /// The flag.
        flag: String,
        /// The program.
        program: String,
        /// What was asked for.
        key: String,
        /// What went wrong.
        said: String,
    },
}

/// The secrets of one machine, with their values.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Secrets {
    known: Vec<(String, Zeroizing<String>)>,
}

/// What a credential helper answers; the user's name is of no interest.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Secret")]
    secret: String,
}

impl SecretError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Nobody(_) => return None,
            Self::Reference { .. } => {
                "write env:NAME, file:PATH or cred:HELPER/KEY, or the secret itself".to_owned()
            }
            Self::Unset { variable, .. } => format!("set {variable} and give the command again"),
            Self::File { .. } | Self::Value { .. } => {
                "the file must hold the secret and nothing else".to_owned()
            }
            Self::Helper { program, key, .. } => {
                format!("echo {key} | {program} get shows what the helper says")
            }
        })
    }
}

/// Flags whose references were replaced by values.
pub(crate) struct Resolved {
    pub(crate) flags: FlagValues,
    /// The references, by flag.
    pub(crate) references: BTreeMap<String, String>,
    pub(crate) secrets: Secrets,
}

/// Replaces references in secret flags by their values.
pub(crate) async fn resolve_flags(
    specs: &[FlagSpec],
    flags: &FlagValues,
) -> Result<Resolved, SecretError> {
    let mut references = BTreeMap::new();
    for spec in specs.iter().filter(|spec| spec.is_secret()) {
        let name = spec.name.as_ref();
        if let Some(reference) = Reference::parse(name, flags.text(name))? {
            references.insert(name.to_owned(), reference.to_string());
        }
    }
    let secrets = look_up(&references).await?;
    let mut flags = flags.clone();
    for (name, reference) in &references {
        if let Some((_, value)) = secrets.known.iter().find(|(known, _)| known == reference) {
            flags.set(name, FlagValue::Text(value.to_string()));
        }
    }
    Ok(Resolved {
        flags,
        references,
        secrets,
    })
}

/// Looks up the secrets of a machine, beside everything else that goes on.
pub(crate) async fn look_up(references: &BTreeMap<String, String>) -> Result<Secrets, SecretError> {
    if references.is_empty() {
        return Ok(Secrets::default());
    }
    let references = references.clone();
    let (answer, asked) = oneshot::channel();
    // Not one of the runtime's threads: whoever is interrupted shall not wait for a helper.
    thread::Builder::new()
        .name("secrets".to_owned())
        .spawn(move || answer.send(look_up_now(&references)))
        .map_err(SecretError::Nobody)?;
    asked
        .await
        .unwrap_or_else(|error| Err(SecretError::Nobody(std::io::Error::other(error))))
}

fn look_up_now(references: &BTreeMap<String, String>) -> Result<Secrets, SecretError> {
    let mut known: Vec<(String, Zeroizing<String>)> = Vec::new();
    for (flag, text) in references {
        let Some(reference) = Reference::parse(flag, text)? else {
            continue;
        };
        // Whoever is asked for a password is asked once.
        if !known.iter().any(|(before, _)| before == text) {
            known.push((text.clone(), reference.value(flag)?));
        }
    }
    // A value that has another one in it goes first.
    known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    let secrets = Secrets { known };
    crate::hush::remember(&secrets);
    Ok(secrets)
}

// === impl Reference ===

impl Reference {
    /// Reads a reference; `None` when the text is the secret itself.
    fn parse(flag: &str, text: &str) -> Result<Option<Self>, SecretError> {
        let wrong = |problem| SecretError::Reference {
            flag: flag.to_owned(),
            reference: text.to_owned(),
            problem,
        };
        if let Some(variable) = text.strip_prefix("env:") {
            if variable.is_empty() || variable.contains(['=', '\0']) {
                return Err(wrong("it needs the name of a variable"));
            }
            return Ok(Some(Self::Environment(variable.to_owned())));
        }
        if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() {
                return Err(wrong("it needs the path of a file"));
            }
            let path = std::path::absolute(path).unwrap_or_else(|_error| PathBuf::from(path));
            return Ok(Some(Self::File(path)));
        }
        let Some(rest) = text.strip_prefix("cred:") else {
            return Ok(None);
        };
        match rest.split_once('/') {
            Some((helper, key)) if is_plain(helper) && !key.is_empty() => Ok(Some(Self::Helper {
                helper: helper.to_owned(),
                key: key.to_owned(),
            })),
            _ => Err(wrong("it needs the name of a helper and a key")),
        }
    }

    fn value(&self, flag: &str) -> Result<Zeroizing<String>, SecretError> {
        let value = match self {
            Self::Environment(variable) => {
                Zeroizing::new(env::var(variable).map_err(|_error| SecretError::Unset {
                    flag: flag.to_owned(),
                    variable: variable.clone(),
                })?)
            }
            Self::File(path) => read(path).map_err(|source| SecretError::File {
                flag: flag.to_owned(),
                path: path.clone(),
                source,
            })?,
            Self::Helper { helper, key } => {
                let program = format!("docker-credential-{helper}");
                ask(&program, key, HELPER_LIMIT).map_err(|said| SecretError::Helper {
                    flag: flag.to_owned(),
                    program,
                    key: key.clone(),
                    said,
                })?
            }
        };
        let trimmed = value.trim_end_matches(['\r', '\n']);
        if trimmed.is_empty() || trimmed.contains('\0') {
            return Err(SecretError::Value {
                flag: flag.to_owned(),
                reference: self.to_string(),
            });
        }
        Ok(Zeroizing::new(trimmed.to_owned()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(variable) => write!(formatter, "env:{variable}"),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Helper { helper, key } => write!(formatter, "cred:{helper}/{key}"),
        }
    }
}

// === impl Secrets ===

impl Secrets {
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Puts references where values are.
    pub(crate) fn veil(&self, config: &mut Value) {
        each_text(config, &mut |text| {
            if let Some(veiled) = self.veiled(text) {
                *text = veiled;
            }
        });
    }

    /// Puts values where references are.
    pub(crate) fn reveal(&self, config: &mut Value) {
        each_text(config, &mut |text| {
            for (reference, value) in &self.known {
                if text.contains(reference.as_str()) {
                    *text = text.replace(reference.as_str(), value);
                }
            }
        });
    }

    /// Returns a text with references in the place of values, or nothing when there are none.
    pub(crate) fn veiled(&self, text: &str) -> Option<String> {
        let mut veiled: Option<String> = None;
        for (reference, value) in &self.known {
            let now = veiled.as_deref().unwrap_or(text);
            let found =
                now == value.as_str() || (value.len() >= MIN_PART && now.contains(value.as_str()));
            if found {
                veiled = Some(now.replace(value.as_str(), reference));
            }
        }
        veiled
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let references = self.known.iter().map(|(reference, _)| reference);
        formatter.debug_set().entries(references).finish()
    }
}

fn each_text(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(list) => list.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(map) => map.values_mut().for_each(|item| each_text(item, change)),
        _ => {}
    }
}

/// The name becomes part of a program's name, and must not lead anywhere else.
fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn read(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    fs::File::open(path)?
        .take(MAX_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Asks a credential helper for a key; fails with what went wrong, in words.
fn ask(program: &str, key: &str, limit: Duration) -> Result<Zeroizing<String>, String> {
    let deadline = Instant::now() + limit;
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| format!("it cannot be run ({error})"))?;
    let answer = converse(child.stdin.take(), child.stdout.take(), key);
    let Some(success) = wait(&mut child, deadline) else {
        return Err(format!("no answer within {} s", limit.as_secs()));
    };
    let mut said = Zeroizing::new(Vec::new());
    let rest = deadline.min(Instant::now() + HELPER_REST);
    // What it has written is in the pipe by now; who else may hold that has nothing to add.
    while let Ok(part) = answer.recv_timeout(rest.saturating_duration_since(Instant::now())) {
        said.extend_from_slice(&part);
    }
    if !success {
        return Err(String::from_utf8_lossy(&said).trim().to_owned());
    }
    // The parser's own words could have parts of the answer in them.
    serde_json::from_slice::<Answer>(&said)
        .map(|answer| Zeroizing::new(answer.secret))
        .map_err(|_error| "its answer is not the JSON of a credential helper".to_owned())
}

/// Gives a helper its key and passes on what it answers, on a thread that nobody waits for.
fn converse(
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    key: &str,
) -> Receiver<Zeroizing<Vec<u8>>> {
    let (parts, answer) = mpsc::channel();
    let key = key.to_owned();
    thread::spawn(move || {
        if let Some(mut pipe) = input {
            // A helper that reads nothing says itself what is wrong.
            let _ = pipe.write_all(key.as_bytes());
        }
        let Some(pipe) = output else { return };
        let mut pipe = pipe.take(MAX_BYTES);
        loop {
            let mut part = Zeroizing::new(vec![0; 4096]);
            match pipe.read(&mut part) {
                // What was not read is missed by the parser.
                Ok(0) | Err(_) => return,
                Ok(length) => part.truncate(length),
            }
            if parts.send(part).is_err() {
                return;
            }
        }
    });
    answer
}

/// Waits for a helper; `None` when it took too long and was ended.
fn wait(child: &mut Child, deadline: Instant) -> Option<bool> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < deadline => thread::sleep(HELPER_PAUSE),
            Ok(None) | Err(_) => {
                // It is of no use any more, whatever becomes of it.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
