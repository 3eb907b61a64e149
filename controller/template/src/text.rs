//! How values look as text: Go's `print`, Go's JSON, and what counts as true.

use serde_json::Value;

use super::HIDDEN_LABELS;

/// Prints a value as `{{.}}` does.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        other => nested(other),
    }
}

fn nested(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        // Rust's way with whole numbers that have a fraction, `1000.0`, is not Go's.
        Value::Number(number) => match number.as_f64() {
            Some(fraction) if number.is_f64() => fraction.to_string(),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(nested).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", nested(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// Says whether `if` takes its first branch.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// The Go type that a value stands for, in messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "json.Number",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// The Go type of a value that was written into the template or counted by it.
pub(super) fn kind_of_argument(value: &Value) -> &'static str {
    match value {
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        other => kind(other),
    }
}

/// Compact JSON.
pub(super) fn json(value: &Value) -> String {
    match value {
        Value::Object(map) if map.contains_key(HIDDEN_LABELS) => {
            let mut shown = map.clone();
            shown.shift_remove(HIDDEN_LABELS);
            Value::Object(shown).to_string()
        }
        other => other.to_string(),
    }
}

/// JSON over several lines, indented by four spaces.
pub(super) fn pretty_json(value: &Value) -> String {
    crate::json::indented(value)
}
