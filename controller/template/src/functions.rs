//! The functions that a template may call: Go's own and Docker's.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Dialect, Missing, Options, escape, printf, text};

const NAMES: &[&str] = &[
    "and",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "join",
    "js",
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
    "urlquery",
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

/// Why a function gives nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// The whole call is wrong.
    Call(String),
    /// This argument is of the wrong type.
    Argument(usize, String),
}

impl CallError {
    /// What is wrong.
    pub(super) fn problem(&self) -> &str {
        match self {
            Self::Call(problem) | Self::Argument(_, problem) => problem,
        }
    }
}

impl From<String> for CallError {
    fn from(problem: String) -> Self {
        Self::Call(problem)
    }
}

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
pub(super) fn call(name: &str, arguments: &[Value], options: Options) -> Result<Value, CallError> {
    if options.heading
        && let "json" | "prettyjson" | "split" | "join" | "title" | "lower" | "upper" | "pad"
        | "truncate" = name
    {
        return Ok(arguments.first().cloned().unwrap_or(Value::Null));
    }
    match name {
        "and" | "or" | "not" => Ok(logic(name, arguments)?),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => comparison(name, arguments)
            .map_err(|problem| CallError::Call(format!("error calling {name}: {problem}"))),
        "index" => Ok(index(arguments, options)?),
        "slice" => Ok(slice(arguments)?),
        "len" => Ok(length(arguments)?),
        "print" | "println" | "printf" => Ok(Value::String(printed(name, arguments)?)),
        "json" => Ok(encoded(text::json(one(name, arguments)?), options)),
        "prettyjson" => Ok(encoded(text::pretty_json(one(name, arguments)?), options)),
        "html" => Ok(Value::String(escape::html(&print_all(arguments)))),
        "js" => Ok(Value::String(escape::js(&print_all(arguments)))),
        "urlquery" => Ok(Value::String(escape::url(&print_all(arguments)))),
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

fn one<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a Value, String> {
    match arguments {
        [value] => Ok(value),
        others => Err(format!(
            "wrong number of args for {name}: want 1 got {}",
            others.len()
        )),
    }
}

fn logic(name: &str, arguments: &[Value]) -> Result<Value, String> {
    if name == "not" {
        return Ok(Value::Bool(!text::truth(one(name, arguments)?)));
    }
    let stop = name == "or";
    let decisive = arguments.iter().find(|value| text::truth(value) == stop);
    let result = decisive.or_else(|| arguments.last());
    result
        .cloned()
        .ok_or_else(|| format!("wrong number of args for {name}: want at least 1 got 0"))
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

fn index(arguments: &[Value], options: Options) -> Result<Value, String> {
    let [collection, keys @ ..] = arguments else {
        return Err("wrong number of args for index: want at least 1 got 0".to_owned());
    };
    let typed = options.missing == Missing::Typed;
    let nothing = Value::String(String::new());
    let mut value = collection;
    for key in keys {
        value = match (value, key) {
            (Value::Object(map), Value::String(key)) => match map.get(key) {
                Some(found) => found,
                // In Go these maps have texts for values, and what is not there is the empty one.
                None if typed && map.values().all(Value::is_string) => &nothing,
                None => &Value::Null,
            },
            (Value::Null, Value::String(_)) if typed => &nothing,
            (Value::Object(_), key) => {
                let kind = text::kind_of_argument(key);
                return Err(format!(
                    "error calling index: value has type {kind}; should be string"
                ));
            }
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
    let out_of_range = |length: usize| {
        let bound =
            |end: Option<u64>| end.filter(|end| usize::try_from(*end).map_or(true, |e| e > length));
        let wrong = bound(to).or_else(|| bound(from)).or(from);
        let wrong = wrong.map(|wrong| format!(": {wrong}")).unwrap_or_default();
        format!("error calling slice: index out of range{wrong}")
    };
    let range = |length: usize| {
        let from = usize::try_from(from.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let to = to.map_or(length, |to| usize::try_from(to).unwrap_or(usize::MAX));
        from..to
    };
    match collection {
        Value::String(text) => {
            let cut = text
                .get(range(text.len()))
                .ok_or_else(|| out_of_range(text.len()))?;
            Ok(Value::String(cut.to_owned()))
        }
        Value::Array(items) => {
            let cut = items
                .get(range(items.len()))
                .ok_or_else(|| out_of_range(items.len()))?;
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
    match one("len", arguments)? {
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

/// All arguments as one text.
fn print_all(arguments: &[Value]) -> String {
    arguments.iter().map(text::print).collect()
}

/// Functions whose first argument is a text (for `join`: a list).
fn strings(name: &str, arguments: &[Value]) -> Result<Value, CallError> {
    let wanted = match name {
        "pad" => 3,
        "split" | "join" | "truncate" => 2,
        _ => 1,
    };
    if arguments.len() != wanted {
        return Err(CallError::Call(format!(
            "wrong number of args for {name}: want {wanted} got {}",
            arguments.len()
        )));
    }
    let refused = |at: usize, wanted: &str| {
        let kind = arguments.get(at).map_or("nil", text::kind);
        let problem = format!("wrong type for value; expected {wanted}; got {kind}");
        CallError::Argument(at, problem)
    };
    let text = |at: usize| match arguments.get(at) {
        Some(Value::String(text)) => Ok(text.as_str()),
        _ => Err(refused(at, "string")),
    };
    let number = |at: usize| {
        let number = arguments.get(at).and_then(Value::as_u64);
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| refused(at, "int"))
    };
    Ok(Value::String(match name {
        "lower" => text(0)?.to_lowercase(),
        "upper" => text(0)?.to_uppercase(),
        "title" => title(text(0)?),
        "split" => {
            let parts = text(0)?.split(text(1)?).map(Value::from).collect();
            return Ok(Value::Array(parts));
        }
        "join" => {
            let Some(Value::Array(items)) = arguments.first() else {
                return Err(refused(0, "[]string"));
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
        _ => return Err(CallError::Call(format!("function {name:?} not defined"))),
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
