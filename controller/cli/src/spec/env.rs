//! Environment variables and labels, from flags and files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::file;

/// Looks a variable up in the environment of the command.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A bad variable or label.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvError {
    #[error("invalid environment variable: {0}")]
    Variable(String),
    #[error("invalid label '{0}': empty name")]
    Label(String),
    #[error("label '{0}' contains whitespaces")]
    BlankLabel(String),
    #[error("{}", file::cannot_open(path, cause))]
    Open {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("env file {} contains invalid utf8 bytes at line {line}", path.display())]
    NotUtf8 { path: PathBuf, line: usize },
    #[error("invalid env file ({}): no variable name on line '{line}'", path.display())]
    NoName { path: PathBuf, line: String },
    #[error("invalid env file ({}): variable '{name}' contains whitespaces", path.display())]
    Blank { path: PathBuf, name: String },
}

/// The variables of files and flags, files first. A bare name takes the value that it has here; one
/// that has none here is left to the engine when it comes from a flag, and dropped from a file.
pub(crate) fn variables(
    files: &[PathBuf],
    flags: &[String],
    lookup: Lookup<'_>,
) -> Result<Vec<String>, EnvError> {
    let mut variables = Vec::new();
    for path in files {
        for line in lines(path)? {
            if line.contains('=') {
                variables.push(line);
            } else if let Some(value) = lookup(&line) {
                variables.push(format!("{line}={}", value.to_string_lossy()));
            }
        }
    }
    for flag in flags {
        match (flag.contains('='), lookup(flag)) {
            (false, Some(value)) => variables.push(format!("{flag}={}", value.to_string_lossy())),
            _ => variables.push(flag.clone()),
        }
    }
    Ok(variables)
}

/// Checks a variable of a flag: it must have a name.
pub(crate) fn variable(text: &str) -> Result<String, EnvError> {
    if text.is_empty() || text.starts_with('=') {
        return Err(EnvError::Variable(text.to_owned()));
    }
    Ok(text.to_owned())
}

/// Checks a label of a flag: it must have a name, without blanks.
pub(crate) fn label(text: &str) -> Result<String, EnvError> {
    let blanks = [' ', '\t'];
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    let name = name.trim_start_matches(blanks);
    if name.is_empty() {
        return Err(EnvError::Label(text.to_owned()));
    }
    if name.contains(blanks) {
        return Err(EnvError::BlankLabel(name.to_owned()));
    }
    Ok(text.to_owned())
}

/// The labels of files and flags; a flag wins.
pub(crate) fn labels(
    files: &[PathBuf],
    flags: &[String],
) -> Result<BTreeMap<String, String>, EnvError> {
    let mut labels = BTreeMap::new();
    let mut lines_of_files = Vec::new();
    for path in files {
        lines_of_files.extend(lines(path)?);
    }
    for text in lines_of_files.iter().chain(flags) {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        labels.insert(name.to_owned(), value.to_owned());
    }
    Ok(labels)
}

/// The lines of a file that count: no comments, no empty ones, names without blanks.
fn lines(path: &PathBuf) -> Result<Vec<String>, EnvError> {
    let bytes = fs::read(path).map_err(|cause| EnvError::Open {
        path: path.clone(),
        cause,
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        EnvError::NotUtf8 {
            path: path.clone(),
            line: good.split(|byte| *byte == b'\n').count(),
        }
    })?;
    let mut found = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        if name.contains(char::is_whitespace) {
            return Err(EnvError::Blank {
                path: path.clone(),
                name: name.to_owned(),
            });
        }
        if name.is_empty() {
            return Err(EnvError::NoName {
                path: path.clone(),
                line: line.to_owned(),
            });
        }
        found.push(line.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(name: &str) -> Option<OsString> {
        (name == "HOME").then(|| OsString::from("/root"))
    }

    fn file(text: &str) -> (tempfile::TempDir, Vec<PathBuf>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, text).unwrap();
        (directory, vec![path])
    }

    #[test]
    fn bare_names_take_the_value_they_have_here() {
        let (_directory, files) = file("# note\n\n  A=1 # kept\nHOME\nNOT_SET\n");
        let flags = ["B=".to_owned(), "HOME".to_owned(), "NOT_SET".to_owned()];
        let found = variables(&files, &flags, &home).unwrap();
        assert_eq!(
            found,
            ["A=1 # kept", "HOME=/root", "B=", "HOME=/root", "NOT_SET"]
        );
    }

    #[test]
    fn variables_need_a_name() {
        for text in ["=1", "A B=1"] {
            let (_directory, files) = file(text);
            assert!(variables(&files, &[], &home).is_err(), "{text:?} was taken");
        }
        variable("=").unwrap_err();
        variable("").unwrap_err();
        variables(&["/no/such/file".into()], &[], &home).unwrap_err();
    }

    #[test]
    fn labels_need_a_name_without_blanks() {
        assert_eq!(label(" a=b c").unwrap(), " a=b c");
        assert_eq!(
            label("=x").unwrap_err().to_string(),
            "invalid label '=x': empty name"
        );
        assert_eq!(
            label("a b=c").unwrap_err().to_string(),
            "label 'a b' contains whitespaces"
        );
    }

    #[test]
    fn labels_of_flags_win_over_files() {
        let (_directory, files) = file("a=1\nb=2\n");
        let found = labels(&files, &["a=3".to_owned(), "bare".to_owned()]).unwrap();
        let found: Vec<_> = found.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(found, ["a=3", "b=2", "bare="]);
    }
}
