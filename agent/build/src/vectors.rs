//! The recorded behaviour that tests compare with.

use std::path::PathBuf;

use serde_json::Value;

/// Reads a vector file; `None`, said aloud, where the folder is not there.
pub(crate) fn vectors(name: &str) -> Option<Vec<Value>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/vectors")
        .join(name);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there", path.display());
        return None;
    }
    let text = std::fs::read_to_string(path).expect("vectors");
    Some(serde_json::from_str(&text).expect("vectors"))
}
