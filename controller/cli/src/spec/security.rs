//! `--security-opt`: a seccomp profile is read here, where the file is.

use std::fs;

/// Puts the text of a seccomp profile in the place of its path.
pub(crate) fn resolve(option: String) -> Result<String, String> {
    let Some((name, value)) = option.split_once(['=', ':']) else {
        return Ok(option);
    };
    if name != "seccomp" || value == "unconfined" || value == "builtin" {
        return Ok(option);
    }
    let failed = |error: &dyn std::fmt::Display| {
        format!("opening seccomp profile ({value}) failed: {error}")
    };
    let text = fs::read_to_string(value).map_err(|error| failed(&error))?;
    let profile: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        format!("compacting json for seccomp profile ({value}) failed: {error}")
    })?;
    Ok(format!("seccomp={profile}"))
}
