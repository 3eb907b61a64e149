//! Log drivers: what their options mean, and what they say of a container.
//!
//! All drivers that keep a log are the runtime's own one; they differ in how much they keep. Names, options and texts
//! are Docker's.

use berth_agent_runtime::log::LogPolicy;
use regex::Regex;

use crate::class::{Classified, ErrorClass};
use crate::container::record::ContainerRecord;
use crate::options::LogOptions;

/// Bytes of a file and number of files that `local` keeps.
const LOCAL: (u64, u32) = (20 * 1024 * 1024, 5);

/// Options of drivers that keep a log.
const OPTIONS: [&str; 8] = [
    "max-file",
    "max-size",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
];

/// A log driver is not as asked.
#[derive(Debug, thiserror::Error)]
pub enum LogDriverError {
    /// There is no such driver here.
    #[error("logger: no log driver named '{0}' is registered")]
    Unknown(String),
    /// The driver does not know an option.
    #[error("unknown log opt '{option}' for {driver}")]
    Option {
        /// The option.
        option: String,
        /// The driver, in the words of its texts.
        driver: &'static str,
    },
    /// An option does not go with the way of logging.
    #[error("logger: {0}")]
    Mode(String),
    /// The value of an option makes no sense.
    #[error("failed to initialize logging driver: {0}")]
    Value(String),
    /// Nothing is kept that could be read.
    #[error("configured logging driver does not support reading")]
    NotReadable,
}

/// Which driver is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    JsonFile,
    Local,
    Nothing,
}

impl Driver {
    fn of(options: &LogOptions) -> Result<Self, LogDriverError> {
        match options.driver.as_str() {
            "" | "json-file" => Ok(Self::JsonFile),
            "local" => Ok(Self::Local),
            "none" => Ok(Self::Nothing),
            other => Err(LogDriverError::Unknown(other.to_owned())),
        }
    }
}

/// Checks what Docker checks when a container is created: the driver and the names of its options.
pub(crate) fn check(options: &LogOptions) -> Result<(), LogDriverError> {
    if options.driver == "none" {
        return Ok(());
    }
    check_mode(options)?;
    let driver = Driver::of(options)?;
    let is_known =
        |name: &str| OPTIONS.contains(&name) || matches!(name, "mode" | "max-buffer-size");
    match options.options.keys().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(option) => Err(LogDriverError::Option {
            option: option.clone(),
            driver: match driver {
                Driver::Local => "log driver local",
                Driver::JsonFile | Driver::Nothing => "json-file log driver",
            },
        }),
    }
}

fn check_mode(options: &LogOptions) -> Result<(), LogDriverError> {
    let mode = options.options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        let text = format!("logging mode not supported: {mode}");
        return Err(LogDriverError::Mode(text));
    }
    // The supervisor never lets a container wait for a reader, so that there is nothing to buffer.
    if options.options.contains_key("max-buffer-size") && mode != "non-blocking" {
        let text = "max-buffer-size option is only supported with 'mode=non-blocking'";
        return Err(LogDriverError::Mode(text.to_owned()));
    }
    Ok(())
}

/// Fails for a driver whose log cannot be read.
pub(crate) fn readable(options: &LogOptions) -> Result<(), LogDriverError> {
    match Driver::of(options)? {
        Driver::Nothing => Err(LogDriverError::NotReadable),
        Driver::JsonFile | Driver::Local => Ok(()),
    }
}

/// Returns how much of a log is kept.
pub(crate) fn policy(options: &LogOptions) -> Result<LogPolicy, LogDriverError> {
    let driver = Driver::of(options)?;
    let (max_bytes, max_files, compress) = match driver {
        Driver::Nothing => return Ok(LogPolicy::nothing()),
        Driver::JsonFile => (None, 1, false),
        Driver::Local => (Some(LOCAL.0), LOCAL.1, true),
    };
    let value = |name: &str| options.options.get(name);
    let wrong = |text: &str| LogDriverError::Value(text.to_owned());
    let max_bytes = match value("max-size") {
        None => max_bytes,
        Some(text) => match human_size(text).map_err(LogDriverError::Value)? {
            0 => return Err(wrong("max-size must be a positive number")),
            bytes => Some(bytes),
        },
    };
    let max_files = match value("max-file") {
        None => max_files,
        Some(text) => match number(text)? {
            ..1 => return Err(wrong("max-file cannot be less than 1")),
            files => u32::try_from(files).unwrap_or(u32::MAX),
        },
    };
    let compress = match value("compress") {
        None => compress && max_files > 1,
        Some(text) => boolean(text)?,
    };
    if compress && (max_files == 1 || max_bytes.is_none()) {
        return Err(wrong(
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ));
    }
    Ok(LogPolicy {
        max_bytes,
        max_files,
        compress,
        transient: false,
    })
}

fn number(text: &str) -> Result<i64, LogDriverError> {
    text.parse().map_err(|_error| {
        LogDriverError::Value(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
    })
}

fn boolean(text: &str) -> Result<bool, LogDriverError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(LogDriverError::Value(format!(
            "strconv.ParseBool: parsing {text:?}: invalid syntax"
        ))),
    }
}

/// Reads a size such as `10m`, whose units are powers of 1000.
fn human_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("invalid size: '{text}'");
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ' ');
    let (number, unit) = text.split_at(at.unwrap_or(text.len()));
    let number: f64 = number.trim().parse().map_err(|_error| wrong())?;
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(format!("invalid suffix: '{unit}'")),
    };
    let bytes = number * 1000_f64.powi(power);
    // Saturates; a size is not negative, since a sign is no part of it.
    Ok(bytes as u64)
}

/// Returns what `labels`, `env` and `tag` say of a container, sorted by name.
pub(crate) fn attributes(
    options: &LogOptions,
    record: &ContainerRecord,
) -> Result<Vec<(String, String)>, LogDriverError> {
    let value = |name: &str| options.options.get(name).map_or("", String::as_str);
    let labels = record.config.labels.iter();
    let labels = labels.map(|(name, value)| (name.as_str(), value.as_str()));
    let env = record.config.env.iter().filter_map(|v| v.split_once('='));
    let mut found = std::collections::BTreeMap::new();
    found.extend(chosen(labels, value("labels"), value("labels-regex"))?);
    found.extend(chosen(env, value("env"), value("env-regex"))?);
    let tag = tag(value("tag"), record)?;
    if !tag.is_empty() {
        found.insert("tag".to_owned(), tag);
    }
    Ok(found.into_iter().collect())
}

/// Returns the pairs that are named in a list, or whose names fit an expression.
fn chosen<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    list: &str,
    expression: &str,
) -> Result<Vec<(String, String)>, LogDriverError> {
    let expression = if expression.is_empty() {
        None
    } else {
        let compiled = Regex::new(expression);
        Some(compiled.map_err(|error| LogDriverError::Value(error.to_string()))?)
    };
    let is_chosen = |name: &str| {
        list.split(',').any(|listed| listed == name)
            || expression.as_ref().is_some_and(|e| e.is_match(name))
    };
    Ok(pairs
        .filter(|(name, _)| is_chosen(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Fills in a tag such as `{{.Name}}/{{.ID}}`.
fn tag(template: &str, record: &ContainerRecord) -> Result<String, LogDriverError> {
    let short = |id: &str| id.chars().take(12).collect::<String>();
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((field, after)) = after.split_once("}}") else {
            break;
        };
        text.push_str(before);
        text.push_str(&match field.trim() {
            ".ID" => short(record.id.as_str()),
            ".FullID" => record.id.as_str().to_owned(),
            ".Name" => record.name.clone(),
            // As Docker, of an id with its kind in front.
            ".ImageID" => short(&record.image_id),
            ".ImageFullID" => record.image_id.clone(),
            ".ImageName" => record.image.clone(),
            ".DaemonName" => "berth".to_owned(),
            ".Command" => record.argv().join(" "),
            other => {
                let text = format!("template: log-tag: <{other}>: can't evaluate it");
                return Err(LogDriverError::Value(text));
            }
        });
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

impl Classified for LogDriverError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unknown(_) | Self::Option { .. } | Self::Mode(_) | Self::Value(_) => {
                ErrorClass::InvalidArgument
            }
            Self::NotReadable => ErrorClass::Unsupported,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotReadable => "log-not-readable",
            _ => "invalid-log-option",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(driver: &str, options: &[(&str, &str)]) -> LogOptions {
        LogOptions {
            driver: driver.to_owned(),
            options: options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn refused(driver: &str, list: &[(&str, &str)]) -> String {
        let options = options(driver, list);
        let policy = check(&options).and_then(|()| policy(&options));
        policy.expect_err("makes no sense").to_string()
    }

    #[test]
    fn drivers_keep_what_dockers_keep() {
        let kept = |driver: &str, list: &[(&str, &str)]| {
            let policy = policy(&options(driver, list)).expect("a policy");
            (policy.max_bytes, policy.max_files, policy.compress)
        };
        assert_eq!(kept("", &[]), (None, 1, false));
        let some = [("max-size", "10m"), ("max-file", "3")];
        assert_eq!(kept("json-file", &some), (Some(10_000_000), 3, false));
        assert_eq!(kept("local", &[]), (Some(20 << 20), 5, true));
        assert_eq!(
            kept("local", &[("max-file", "1")]),
            (Some(20 << 20), 1, false)
        );
        assert_eq!(kept("json-file", &[("max-size", "1.5kB")]).0, Some(1500));
        assert!(policy(&options("none", &[])).expect("a policy").transient);
    }

    #[test]
    fn what_makes_no_sense_is_told_as_docker_tells_it() {
        assert_eq!(
            refused("fluentish", &[]),
            "logger: no log driver named 'fluentish' is registered"
        );
        assert_eq!(
            refused("", &[("max-sizes", "1")]),
            "unknown log opt 'max-sizes' for json-file log driver"
        );
        assert_eq!(
            refused("local", &[("x", "1")]),
            "unknown log opt 'x' for log driver local"
        );
        assert_eq!(
            refused("", &[("mode", "x")]),
            "logger: logging mode not supported: x"
        );
        let begins = "failed to initialize logging driver: ";
        for (list, text) in [
            (&[("max-file", "0")][..], "max-file cannot be less than 1"),
            (&[("max-size", "0")], "max-size must be a positive number"),
            (&[("max-size", "big")], "invalid size: 'big'"),
            (&[("max-size", "1x")], "invalid suffix: 'x'"),
            (
                &[("compress", "true")],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
        ] {
            assert_eq!(refused("", list), format!("{begins}{text}"));
        }
    }
}
