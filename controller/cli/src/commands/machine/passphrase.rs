//! Passphrases of bundles: from a file, or typed.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::ui;

/// A passphrase that was typed once more for certain.
pub(super) fn new(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let typed = match file {
        Some(path) => return read(path),
        None => ask("Passphrase for the file: ")?,
    };
    if *ask("The same again: ")? != *typed {
        return Err(Failure::new("the two passphrases differ"));
    }
    Ok(typed)
}

/// The passphrase of a file that is there.
pub(super) fn known(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    file.map_or_else(|| ask("Passphrase of the file: "), read)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    if !ui::input_is_terminal() {
        return Err(
            Failure::new("there is no terminal to ask for the passphrase on")
                .hint("--passphrase-file names a file whose first line it is"),
        );
    }
    let typed = Zeroizing::new(ui::ask_secret(prompt)?);
    require(typed, "the passphrase is empty")
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text =
        Zeroizing::new(fs::read_to_string(path).map_err(|error| {
            Failure::during(&format!("cannot read {}", path.display()), &error)
        })?);
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    require(
        line,
        &format!("{} has no passphrase in its first line", path.display()),
    )
}

fn require(passphrase: Zeroizing<String>, otherwise: &str) -> Result<Zeroizing<String>, Failure> {
    if passphrase.is_empty() {
        return Err(Failure::new(otherwise));
    }
    Ok(passphrase)
}
