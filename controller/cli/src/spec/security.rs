//! `--security-opt`: a seccomp profile is read here, where the file is.

use std::fs;
use std::path::Path;

use super::file;
use crate::ui::quote::quoted;

/// Puts the text of a seccomp profile, without its blanks, in the place of its path.
pub(crate) fn resolve(option: String) -> Result<String, String> {
    let parts = option.split_once('=').or_else(|| option.split_once(':'));
    let Some((name, value)) = parts else {
        return if option == "no-new-privileges" {
            Ok(option)
        } else {
            Err(format!("Invalid --security-opt: {}", quoted(&option)))
        };
    };
    if name != "seccomp" || matches!(value, "unconfined" | "builtin") {
        return Ok(option);
    }
    let text = fs::read_to_string(value).map_err(|error| {
        let why = file::cannot_open(Path::new(value), &error);
        format!("opening seccomp profile ({value}) failed: {why}")
    })?;
    let profile: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        format!("compacting json for seccomp profile ({value}) failed: {error}")
    })?;
    Ok(format!("seccomp={profile}"))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn a_profile_is_sent_without_its_blanks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json");
        std::fs::write(&path, "{\n  \"syscalls\": [ ]\n}\n").unwrap();
        let option = format!("seccomp={}", path.display());
        assert_eq!(
            resolve(option.clone()).unwrap(),
            "seccomp={\"syscalls\":[]}"
        );
        std::fs::write(&path, "{").unwrap();
        assert!(resolve(option).unwrap_err().starts_with("compacting json"));
    }

    #[test]
    fn other_options_pass_and_lone_words_do_not() {
        for option in ["no-new-privileges", "seccomp=unconfined", "label:disable"] {
            assert_eq!(resolve(option.to_owned()).unwrap(), option);
        }
        assert_eq!(
            resolve("foo".to_owned()).unwrap_err(),
            "Invalid --security-opt: \"foo\""
        );
        assert_eq!(
            resolve("seccomp=/nope".to_owned()).unwrap_err(),
            "opening seccomp profile (/nope) failed: open /nope: no such file or directory"
        );
    }
}
