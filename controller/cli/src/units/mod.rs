//! Sizes and spans of time as Docker writes and reads them.

pub(crate) mod duration;
pub(crate) mod moment;
pub(crate) mod size;

#[cfg(test)]
mod tests;

/// Reads shared test vectors; absent in a checkout of the project alone.
#[cfg(test)]
pub(crate) fn vectors(name: &str) -> Option<Vec<serde_json::Value>> {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("../shared/data/vectors").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no test vectors at {}", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}
