//! `%h` and its like, `~` and `${NAME}`.

use std::path::PathBuf;

use super::{home, local_user};

/// What tokens stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The name as it was given.
    pub(super) name: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) alias: &'a str,
}

/// Replaces tokens; `None` for one that does not exist.
pub(super) fn expand(text: &str, facts: &Facts<'_>) -> Option<String> {
    let mut result = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            result.push(letter);
            continue;
        }
        match letters.next()? {
            '%' => result.push('%'),
            'h' => result.push_str(facts.host),
            'n' => result.push_str(facts.name),
            'p' => result.push_str(&facts.port.to_string()),
            'r' => result.push_str(facts.user),
            'k' => result.push_str(facts.alias),
            'u' => result.push_str(&local_user()),
            'd' => result.push_str(&home()?.to_string_lossy()),
            'i' => result.push_str(&nix::unistd::getuid().to_string()),
            'l' => result.push_str(&this_host()),
            'L' => result.push_str(this_host().split('.').next()?),
            _ => return None,
        }
    }
    Some(result)
}

/// Replaces `~`, `~user` and `${NAME}` in a path.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    Some(expand_home(&environment(text)?))
}

/// Replaces `${NAME}`; `None` when the environment has no such name.
pub(super) fn environment(text: &str) -> Option<String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("${") {
        let (name, after) = tail.split_once('}')?;
        result.push_str(before);
        result.push_str(&std::env::var(name).ok()?);
        rest = after;
    }
    result.push_str(rest);
    Some(result)
}

/// Replaces `~` and `~user` at the start of a path.
pub(crate) fn expand_home(text: &str) -> PathBuf {
    let Some(tail) = text.strip_prefix('~') else {
        return PathBuf::from(text);
    };
    let (user, below) = tail.split_once('/').unwrap_or((tail, ""));
    let folder = if user.is_empty() {
        home()
    } else {
        let account = nix::unistd::User::from_name(user).ok().flatten();
        account.map(|account| account.dir)
    };
    folder.map_or_else(|| PathBuf::from(text), |folder| folder.join(below))
}

fn this_host() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
