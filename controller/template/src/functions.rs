//! The functions that a template may call: Go's own and Docker's.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Dialect, Options, printf, text};

const NAMES: &[&str] = &[
    "and",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "join",
    "json",
    "le",
    "len",
    "lower",
    "lt",
    "ne",
    "not",
    "or",
    "pad",
    "prettyjson",
    "print",
    "printf",
    "println",
    "slice",
    "split",
    "title",
    "truncate",
    "upper",
];

/// The functions that Docker adds to Go's.
const DOCKERS: &[&str] = &[
    "join",
    "json",
    "lower",
    "pad",
    "prettyjson",
    "split",
    "title",
    "truncate",
    "upper",
];

/// Says whether there is a function of this name.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Says whether a function is one of `dialect`'s.
pub(super) fn belongs(name: &str, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Docker => true,
        Dialect::Inspect => matches!(name, "json" | "prettyjson") || !DOCKERS.contains(&name),
        Dialect::Go => !DOCKERS.contains(&name),
    }
}

/// Calls a function. In a heading the functions that reshape a value give it back unchanged.
pub(super) fn call(name: &str, arguments: &[Value], options: Options) -> Result<Value, String> {
    if options.heading
        && let "json" | "prettyjson" | "split" | "join" | "title" | "lower" | "upper" | "pad"
        | "truncate" = name
    {
        return Ok(arguments.first().cloned().unwrap_or(Value::Null));
    }
    match name {
        "and" | "or" | "not" => logic(name, arguments),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => comparison(name, arguments),
        "index" => index(arguments),
        "slice" => slice(arguments),
        "len" => length(arguments),
        "print" | "println" | "printf" => Ok(Value::String(printed(name, arguments)?)),
        "json" => one(arguments).map(|value| encoded(text::json(value), options)),
        "prettyjson" => one(arguments).map(|value| encoded(text::pretty_json(value), options)),
        _ => strings(name, arguments),
    }
}

fn encoded(json: String, options: Options) -> Value {
    Value::String(if options.escape_html {
        crate::json::escape_html(&json)
    } else {
        json
    })
}

fn one(arguments: &[Value]) -> Result<&Value, String> {
    match arguments {
        [value] => Ok(value),
        others => Err(format!("wrong number of args: want 1 got {}", others.len())),
    }
}

fn logic(name: &str, arguments: &[Value]) -> Result<Value, String> {
    if name == "not" {
        return Ok(Value::Bool(!text::truth(one(arguments)?)));
    }
    let stop = name == "or";
    let decisive = arguments.iter().find(|value| text::truth(value) == stop);
    let result = decisive.or_else(|| arguments.last());
    result
        .cloned()
        .ok_or_else(|| "wrong number of args: want at least 1 got 0".to_owned())
}

fn comparison(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let [left, rest @ ..] = arguments else {
        return Err("missing argument for comparison".to_owned());
    };
    let Some(right) = rest.first() else {
        return Err("missing argument for comparison".to_owned());
    };
    let result = match name {
        "eq" => rest.iter().any(|other| same(left, other)),
        "ne" => !same(left, right),
        "lt" => order(left, right)? == Ordering::Less,
        "le" => order(left, right)? != Ordering::Greater,
        "gt" => order(left, right)? == Ordering::Greater,
        _ => order(left, right)? != Ordering::Less,
    };
    Ok(Value::Bool(result))
}

fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right) == Ordering::Equal,
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> Result<Ordering, String> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Ok(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64(), right.as_f64());
            Ok(left.unwrap_or(0.0).total_cmp(&right.unwrap_or(0.0)))
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let [collection, keys @ ..] = arguments else {
        return Err("wrong number of args: want at least 1 got 0".to_owned());
    };
    let mut value = collection;
    for key in keys {
        value = match (value, key) {
            (Value::Object(map), Value::String(key)) => map.get(key).unwrap_or(&Value::Null),
            (Value::Array(items), Value::Number(at)) => {
                let found = at
                    .as_u64()
                    .and_then(|at| items.get(usize::try_from(at).ok()?));
                found.ok_or_else(|| format!("error calling index: index out of range: {at}"))?
            }
            (Value::Null, _) => return Err("error calling index: index of untyped nil".to_owned()),
            (other, _) => {
                let kind = text::kind(other);
                return Err(format!(
                    "error calling index: can't index item of type {kind}"
                ));
            }
        };
    }
    Ok(value.clone())
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let (collection, from, to) = match arguments {
        [collection, from] => (collection, from.as_u64(), None),
        [collection, from, to] => (collection, from.as_u64(), to.as_u64()),
        _ => return Err("wrong number of args for slice".to_owned()),
    };
    let out_of_range = || "error calling slice: index out of range".to_owned();
    let range = |length: usize| {
        let from = usize::try_from(from.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let to = to.map_or(length, |to| usize::try_from(to).unwrap_or(usize::MAX));
        from..to
    };
    match collection {
        Value::String(text) => {
            let cut = text.get(range(text.len())).ok_or_else(out_of_range)?;
            Ok(Value::String(cut.to_owned()))
        }
        Value::Array(items) => {
            let cut = items.get(range(items.len())).ok_or_else(out_of_range)?;
            Ok(Value::Array(cut.to_vec()))
        }
        other => {
            let kind = text::kind(other);
            Err(format!(
                "error calling slice: can't slice item of type {kind}"
            ))
        }
    }
}

fn length(arguments: &[Value]) -> Result<Value, String> {
    match one(arguments)? {
        Value::String(text) => Ok(Value::from(text.len())),
        Value::Array(items) => Ok(Value::from(items.len())),
        Value::Object(map) => Ok(Value::from(map.len())),
        other => {
            let kind = text::kind(other);
            Err(format!("error calling len: len of type {kind}"))
        }
    }
}

fn printed(name: &str, arguments: &[Value]) -> Result<String, String> {
    if name == "printf" {
        let [Value::String(format), values @ ..] = arguments else {
            return Err("printf needs a format".to_owned());
        };
        return Ok(printf::format(format, values));
    }
    let mut output = String::new();
    for (at, value) in arguments.iter().enumerate() {
        // Go's Print puts a space only between two operands of which neither is a string.
        let spaced =
            at > 0 && (name == "println" || !(value.is_string() || arguments[at - 1].is_string()));
        if spaced {
            output.push(' ');
        }
        output.push_str(&text::print(value));
    }
    if name == "println" {
        output.push('\n');
    }
    Ok(output)
}

/// Functions whose first argument is a text (for `join`: a list).
fn strings(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let text = |at: usize| match arguments.get(at) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => {
            let kind = text::kind(other);
            Err(format!("wrong type for value; expected string; got {kind}"))
        }
        None => Err(format!(
            "wrong number of args for {name}: got {}",
            arguments.len()
        )),
    };
    let number = |at: usize| {
        let number = arguments.get(at).and_then(Value::as_u64);
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| format!("wrong type for argument {at} of {name}; expected int"))
    };
    Ok(Value::String(match name {
        "lower" => text(0)?.to_lowercase(),
        "upper" => text(0)?.to_uppercase(),
        "title" => title(text(0)?),
        "html" => html(text(0)?),
        "split" => {
            let parts = text(0)?.split(text(1)?).map(Value::from).collect();
            return Ok(Value::Array(parts));
        }
        "join" => {
            let Some(Value::Array(items)) = arguments.first() else {
                return Err("wrong type for value; expected []string".to_owned());
            };
            let items: Vec<String> = items.iter().map(text::print).collect();
            items.join(text(1)?)
        }
        "pad" if text(0)?.is_empty() => String::new(),
        "pad" => format!(
            "{}{}{}",
            " ".repeat(number(1)?),
            text(0)?,
            " ".repeat(number(2)?)
        ),
        "truncate" => text(0)?.chars().take(number(1)?).collect(),
        _ => return Err(format!("function {name:?} not defined")),
    }))
}

fn title(text: &str) -> String {
    let mut boundary = true;
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        if boundary {
            output.extend(c.to_uppercase());
        } else {
            output.push(c);
        }
        boundary = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    output
}

fn html(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => output.push_str("&amp;"),
            '<' => output.push_str("&lt;"),
            '>' => output.push_str("&gt;"),
            '"' => output.push_str("&#34;"),
            '\'' => output.push_str("&#39;"),
            c => output.push(c),
        }
    }
    output
}
