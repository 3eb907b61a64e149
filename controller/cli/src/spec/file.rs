//! Files that flags name.

use std::io;
use std::path::Path;

/// What the system says, without the number that Rust adds, in small letters as Go writes it.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Words a failure to open `path`.
pub(super) fn cannot_open(path: &Path, error: &io::Error) -> String {
    format!("open {}: {}", path.display(), reason(error))
}
