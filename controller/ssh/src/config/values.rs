//! What values mean, and which files a pattern names.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Strict;
use super::lines::Line;
use super::pattern::matches;

/// Refuses values that OpenSSH would refuse, so that a mistake is not taken for an absence.
pub(super) fn check(line: &Line) -> Result<(), String> {
    let word = line.words.first().map_or("", String::as_str);
    let good = match line.keyword.as_str() {
        "port" => word.parse::<u16>().is_ok_and(|port| port > 0),
        "identitiesonly" | "batchmode" | "hashknownhosts" => truth(word).is_some(),
        "connecttimeout" | "serveraliveinterval" => {
            word == "0" || is_none(word) || seconds(word).is_some()
        }
        "serveralivecountmax" => word.parse::<u32>().is_ok(),
        "addressfamily" => matches!(word.to_lowercase().as_str(), "any" | "inet" | "inet6"),
        _ => true,
    };
    if good {
        return Ok(());
    }
    Err(format!("{} cannot be {word:?}", line.keyword))
}

pub(super) fn strict(text: Option<&str>) -> Strict {
    match text.map(str::to_lowercase).as_deref() {
        Some("yes" | "true") => Strict::Yes,
        // "no" also lets changed keys pass elsewhere; here they never do.
        Some("no" | "false" | "off" | "accept-new") => Strict::AcceptNew,
        _ => Strict::Ask,
    }
}

pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// Reads `90`, `2m` or `1h30m`.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let mut total = 0u64;
    let mut digits = String::new();
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let unit = match letter.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    if !digits.is_empty() {
        total = total.checked_add(digits.parse().ok()?)?;
    } else if text.is_empty() {
        return None;
    }
    (total > 0).then(|| Duration::from_secs(total))
}

pub(super) fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}

/// Returns the files that a pattern names, in order of their names.
pub(super) fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?']) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        found = found
            .iter()
            .flat_map(|folder| entries(folder, &text))
            .collect();
    }
    found
}

fn entries(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = read.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| !name.starts_with('.') || pattern.starts_with('.'))
        .filter(|name| matches(pattern, name))
        .collect();
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}
