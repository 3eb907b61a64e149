//! Reading descriptions as Go does: what is null was not said.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::ApiError;

/// Objects whose keys count, whatever their values are.
const SETS: [&str; 2] = ["ExposedPorts", "Volumes"];

/// Reads a description.
///
/// # Errors
/// When it is empty, not JSON, or of another shape.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let sentence = "invalid JSON: got EOF while reading request body";
        return Err(ApiError::bad_request(sentence));
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| invalid(&error))?;
    if value.is_null() {
        // Go takes it for a description that says nothing.
        value = Value::Object(serde_json::Map::new());
    }
    if !value.is_object() {
        let sentence = "invalid JSON: an object is wanted";
        return Err(ApiError::bad_request(sentence));
    }
    strip(&mut value);
    serde_json::from_value(value).map_err(|error| invalid(&error))
}

fn invalid(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request(format!("invalid JSON: {error}"))
}

/// Takes out of objects what is null.
fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            for (key, value) in object {
                if SETS.contains(&key.as_str()) {
                    fill(value);
                }
                strip(value);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Gives the members of a set values.
fn fill(set: &mut Value) {
    if let Value::Object(members) = set {
        for value in members.values_mut().filter(|value| value.is_null()) {
            *value = Value::Object(serde_json::Map::new());
        }
    }
}

/// Reads one text or a list of them, as commands are given.
pub(crate) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, rename_all = "PascalCase")]
    struct Wanted {
        #[serde(deserialize_with = "words")]
        cmd: Vec<String>,
        tty: bool,
        inner: Option<Inner>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Inner {
        n: i64,
    }

    #[test]
    fn null_is_what_was_not_said() {
        let read = |text: &str| json::<Wanted>(text.as_bytes());
        let wanted = read(r#"{"Cmd":null,"Tty":null,"Inner":{"n":null},"Other":1}"#);
        let inner = Some(Inner { n: 0 });
        let expected = Wanted {
            inner,
            ..Wanted::default()
        };
        assert_eq!(wanted.expect("valid"), expected);
        assert_eq!(read("null").expect("valid"), Wanted::default());
        assert_eq!(read(r#"{"Cmd":"a b"}"#).expect("valid").cmd, ["a b"]);
        assert_eq!(read(r#"{"Cmd":["a","b"]}"#).expect("valid").cmd, ["a", "b"]);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for wrong in ["", " \n", "{", "[]", r#"{"Tty":1}"#, "{} {}"] {
            let error = json::<Wanted>(wrong.as_bytes()).expect_err(wrong);
            assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
            assert!(error.sentence().starts_with("invalid JSON: "), "{wrong}");
        }
    }
}
