//! Agreement with the recorded behaviour of the original matcher.

use std::path::PathBuf;

use berth_context::{Ignore, ignore_file};
use serde_json::Value;

/// Reads a vector file; `None`, said aloud, where the folder is not there.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn vectors(name: &str) -> Option<Vec<Value>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/vectors")
        .join(name);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there", path.display());
        return None;
    }
    let text = std::fs::read_to_string(path).expect("vectors");
    Some(serde_json::from_str(&text).expect("vectors"))
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .expect("list")
        .iter()
        .map(|text| text.as_str().expect("text"))
        .collect()
}

#[test]
fn paths_match_as_in_the_original() {
    let mut wrong = Vec::new();
    for vector in vectors("dockerignore_match.json").into_iter().flatten() {
        let path = vector["path"].as_str().expect("path");
        let result = Ignore::from_patterns(strings(&vector["patterns"]));
        let agrees = match (&result, vector.get("error")) {
            (Err(error), Some(expected)) => {
                error.source.to_string() == expected.as_str().expect("text")
            }
            (Ok(ignore), None) => ignore.matches(path) == vector["match"].as_bool().expect("bool"),
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{vector} gave {result:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn ignore_files_are_read_as_in_the_original() {
    for vector in vectors("dockerignore_file.json").into_iter().flatten() {
        let input = vector["input"].as_str().expect("input");
        assert_eq!(
            ignore_file(input),
            strings(&vector["patterns"]),
            "{input:?}"
        );
    }
}
