//! Reading words as Go's `flag` package does.

use std::collections::BTreeMap;

use berth_controller_template::quote::quoted;
use berth_provisioners_api::FlagValue;

use super::Flag;

/// What a command line says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parsed {
    values: BTreeMap<String, FlagValue>,
    /// The flags that were given, by the names under which they were.
    given: Vec<String>,
    /// What is no flag.
    pub(crate) args: Vec<String>,
}

// === impl Parsed ===

impl Parsed {
    /// Words that are not looked at for flags.
    pub(crate) fn unread(words: &[String]) -> Self {
        Self {
            args: words.to_vec(),
            ..Self::default()
        }
    }

    /// The value of a flag, whoever gave it.
    pub(crate) fn value(&self, name: &str) -> Option<&FlagValue> {
        self.values.get(name)
    }

    /// Whether a switch is on.
    pub(crate) fn switch(&self, name: &str) -> bool {
        matches!(self.value(name), Some(FlagValue::Switch(true)))
    }

    /// The text of a flag.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Some(FlagValue::Text(text)) => text,
            _ => "",
        }
    }

    /// The number of a flag.
    pub(crate) fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(FlagValue::Number(number)) => *number,
            _ => 0,
        }
    }

    /// The texts of a flag.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(FlagValue::List(list)) => list.clone(),
            _ => Vec::new(),
        }
    }

    /// Both names of a flag that were given, if they were: the original takes one of them only.
    pub(crate) fn two_forms(&self, flags: &[Flag]) -> Result<(), String> {
        for flag in flags {
            let mut given = flag.names.iter().filter(|name| self.given.contains(name));
            if let (Some(first), Some(second)) = (given.next(), given.next()) {
                return Err(format!(
                    "Cannot use two forms of the same flag: {second} {first}"
                ));
            }
        }
        Ok(())
    }
}

/// Reads `words`; what was understood before the first mistake is returned with it.
pub(crate) fn parse(
    flags: &[Flag],
    words: &[String],
    env: &dyn Fn(&str) -> Option<String>,
) -> (Parsed, Result<(), String>) {
    let mut parsed = Parsed::default();
    for flag in flags {
        parsed
            .values
            .insert(flag.name().to_owned(), from_env(flag, env));
    }
    let mut rest = words;
    let result = loop {
        match one(flags, &mut parsed, rest) {
            Ok(Some(left)) => rest = left,
            Ok(None) => break Ok(()),
            Err(problem) => break Err(problem),
        }
    };
    (parsed, result)
}

/// Reads one flag off the front of `words`; `None` when the flags are over.
fn one<'a>(
    flags: &[Flag],
    parsed: &mut Parsed,
    words: &'a [String],
) -> Result<Option<&'a [String]>, String> {
    let Some((word, mut rest)) = words.split_first() else {
        return Ok(None);
    };
    let name = match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
        Some("") if word == "--" => {
            parsed.args = rest.to_vec();
            return Ok(None);
        }
        Some(name) if word.len() > 1 => name,
        _ => {
            parsed.args = words.to_vec();
            return Ok(None);
        }
    };
    if name.is_empty() || name.starts_with(['-', '=']) {
        return Err(format!("bad flag syntax: {word}"));
    }
    let (name, given) = match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    };
    let known = flags
        .iter()
        .find(|flag| flag.names.iter().any(|own| own == name));
    let Some(flag) = known else {
        return Err(format!("flag provided but not defined: -{name}"));
    };
    let value = match (given, &flag.default) {
        (Some(value), _) => value,
        (None, FlagValue::Switch(_)) => "true",
        (None, _) => {
            let Some((value, left)) = rest.split_first() else {
                return Err(format!("flag needs an argument: -{name}"));
            };
            rest = left;
            value
        }
    };
    set(flag, name, value, parsed)?;
    parsed.given.push(name.to_owned());
    Ok(Some(rest))
}

fn set(flag: &Flag, name: &str, text: &str, parsed: &mut Parsed) -> Result<(), String> {
    let value = match &flag.default {
        FlagValue::Switch(_) => FlagValue::Switch(parse_bool(text).map_err(|problem| {
            format!(
                "invalid boolean value {} for -{name}: {problem}",
                quoted(text)
            )
        })?),
        FlagValue::Number(_) => FlagValue::Number(parse_int(text).map_err(|problem| {
            format!("invalid value {} for flag -{name}: {problem}", quoted(text))
        })?),
        FlagValue::Text(_) => FlagValue::Text(text.to_owned()),
        FlagValue::List(_) => {
            let mut list = parsed.list(flag.name());
            list.push(text.to_owned());
            FlagValue::List(list)
        }
    };
    parsed.values.insert(flag.name().to_owned(), value);
    Ok(())
}

/// What a flag is worth when it is not given; what makes no sense in the environment is as if it
/// were not there.
fn from_env(flag: &Flag, env: &dyn Fn(&str) -> Option<String>) -> FlagValue {
    let names = flag.env.iter().flat_map(|names| names.split(','));
    let set = names
        .filter_map(|name| env(name.trim()))
        .find(|value| !value.is_empty());
    let Some(text) = set else {
        return flag.default.clone();
    };
    match &flag.default {
        FlagValue::Switch(default) => FlagValue::Switch(parse_bool(&text).unwrap_or(*default)),
        FlagValue::Number(default) => FlagValue::Number(parse_int(&text).unwrap_or(*default)),
        FlagValue::Text(_) => FlagValue::Text(text),
        FlagValue::List(_) => {
            FlagValue::List(text.split(',').map(|item| item.trim().to_owned()).collect())
        }
    }
}

/// Reads a truth value as Go does.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {}: invalid syntax",
            quoted(text)
        )),
    }
}

/// Reads a whole number as Go does: with `0x` in front to the base 16, with `0` to the base 8.
fn parse_int(text: &str) -> Result<i64, String> {
    let failed = |why| format!("strconv.ParseInt: parsing {}: {why}", quoted(text));
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, base) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return Err(failed("invalid syntax"));
    }
    let size = i128::from_str_radix(digits, base).unwrap_or(i128::MAX);
    let number = if negative { -size } else { size };
    i64::try_from(number).map_err(|_error| failed("value out of range"))
}

/// Puts words that stand before the first flag behind the flags, as the original does before it
/// reads them. What follows `--` is no flag, and stays last.
pub(crate) fn permuted(words: &[String]) -> Vec<String> {
    let end = words.iter().position(|word| word == "--");
    let flags = &words[..end.unwrap_or(words.len())];
    let is_flag = |word: &String| word.starts_with('-') && word != "-";
    let Some(first) = flags.iter().position(is_flag) else {
        return words.to_vec();
    };
    let Some(end) = end else {
        return [&flags[first..], &flags[..first]].concat();
    };
    let (dashes, behind) = words[end..].split_at(1);
    [&flags[first..], dashes, &flags[..first], behind].concat()
}
