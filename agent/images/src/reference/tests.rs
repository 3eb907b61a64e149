//! References against the recorded behaviour of the original code.

use std::path::Path;

use proptest::prelude::{ProptestConfig, any, proptest};
use serde_json::Value;

use super::{AnyReference, Reference};

/// The program that recorded the results had no hash functions compiled in, so it refused every
/// digest with these words. What precedes the digest check is compared all the same.
const RECORDED_WITHOUT_HASHES: &str = "unsupported digest algorithm";

fn shape(reference: &Reference) -> Value {
    let mut value = serde_json::json!({
        "domain": reference.domain(),
        "familiar": reference.familiar(),
        "familiar_name": reference.familiar_name(),
        "name": reference.name(),
        "path": reference.path(),
        "string": reference.to_string(),
        "with_default_tag": reference.clone().with_default_tag().to_string(),
    });
    if let Some(tag) = reference.tag() {
        value["tag"] = tag.into();
    }
    value
}

fn check(case: &Value, key: &str, found: Result<Value, String>) {
    let input = &case["input"];
    match case.get(format!("{key}_error")).and_then(Value::as_str) {
        Some(RECORDED_WITHOUT_HASHES) => {
            let known = "invalid checksum digest length";
            assert!(
                found.as_ref().map_or_else(|error| error == known, |_| true),
                "{input}: {found:?}"
            );
        }
        Some(error) => assert_eq!(found, Err(error.to_owned()), "{key} of {input}"),
        None => assert_eq!(found.as_ref(), Ok(&case[key]), "{key} of {input}"),
    }
}

#[test]
fn references_are_read_as_docker_reads_them() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/vectors/reference.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return;
    };
    let cases: Vec<Value> = serde_json::from_str(&text).expect("vectors");
    assert!(!cases.is_empty());
    for case in &cases {
        let input = case["input"].as_str().expect("input");
        let exact = Reference::parse_exact(input);
        check(
            case,
            "parse",
            exact.map(|found| shape(&found)).map_err(|e| e.to_string()),
        );
        let normalized = Reference::parse(input);
        check(
            case,
            "normalized",
            normalized
                .map(|found| shape(&found))
                .map_err(|e| e.to_string()),
        );
        let definite = Reference::parse_definite(input);
        check(
            case,
            "docker_ref",
            definite
                .map(|r| r.to_string().into())
                .map_err(|e| e.to_string()),
        );
        let either = AnyReference::parse(input);
        if let Ok(AnyReference::Digest(digest)) = &either {
            // Taken for a name by the program without hash functions.
            assert!(digest.as_str().ends_with(input));
            continue;
        }
        check(
            case,
            "any",
            either
                .map(|r| r.to_string().into())
                .map_err(|e| e.to_string()),
        );
    }
}

#[test]
fn a_digest_survives_with_or_without_a_tag() {
    let sum = "a".repeat(64);
    let text = format!("busybox:1@sha256:{sum}");
    let parsed = Reference::parse(&text).expect("reference");
    assert_eq!(parsed.familiar(), text);
    assert_eq!(
        parsed.definite().familiar(),
        format!("busybox@sha256:{sum}")
    );
    Reference::parse("busybox@sha256:abc").expect_err("refused");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read_without_a_panic_and_what_is_read_is_stable(text in any::<String>()) {
        if let Ok(reference) = Reference::parse(&text) {
            let again = Reference::parse(&reference.familiar());
            proptest::prop_assert_eq!(again, Ok(reference));
        }
    }
}
