//! The recorded behaviour that tests compare with.

use std::path::PathBuf;

use serde_json::Value;

/// Reads a vector file; nothing, said aloud, where the folder is not there.
pub(crate) fn vectors(name: &str) -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/vectors");
    let path = folder.join(name);
    if !folder.exists() {
        eprintln!("SKIPPED: {} is not there", path.display());
        return Vec::new();
    }
    let text = std::fs::read_to_string(path).expect("vectors");
    serde_json::from_str(&text).expect("vectors")
}
