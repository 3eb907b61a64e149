//! Flags as data.

use berth_provisioners_api::{FlagSpec, FlagValue};

/// One flag of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flag {
    /// Its names without dashes, the one that it is asked for by first.
    pub(crate) names: Vec<String>,
    /// The environment variable that gives its value when it is absent.
    pub(crate) env: Option<String>,
    /// What it is worth when nobody says anything; its kind is the flag's kind.
    pub(crate) default: FlagValue,
    /// One sentence for the help page.
    pub(crate) usage: String,
}

// === impl Flag ===

impl Flag {
    /// A flag called `names`, which are separated by commas.
    pub(crate) fn new(names: &str, default: FlagValue, usage: impl Into<String>) -> Self {
        Self {
            names: names
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
            env: None,
            default,
            usage: usage.into(),
        }
    }

    /// A flag that is there or not.
    pub(crate) fn switch(names: &str, usage: &str) -> Self {
        Self::new(names, FlagValue::Switch(false), usage)
    }

    /// A flag that takes a text.
    pub(crate) fn text(names: &str, default: &str, usage: &str) -> Self {
        Self::new(names, FlagValue::Text(default.to_owned()), usage)
    }

    /// A flag that takes a whole number.
    pub(crate) fn number(names: &str, default: i64, usage: &str) -> Self {
        Self::new(names, FlagValue::Number(default), usage)
    }

    /// A flag that takes a text, any number of times.
    pub(crate) fn list(names: &str, usage: &str) -> Self {
        Self::new(names, FlagValue::List(Vec::new()), usage)
    }

    /// Names the environment variable.
    pub(crate) fn with_env(mut self, variable: &str) -> Self {
        self.env = Some(variable.to_owned());
        self
    }

    /// A driver's flag.
    ///
    /// Values that a list has by default are the driver's affair and not shown.
    pub(crate) fn of_driver(spec: &FlagSpec) -> Self {
        let default = match &spec.default {
            FlagValue::List(_) => FlagValue::List(Vec::new()),
            other => other.clone(),
        };
        Self {
            names: vec![spec.name.to_string()],
            env: spec.env.as_ref().map(ToString::to_string),
            default,
            usage: spec.help.to_string(),
        }
    }

    /// The name that it is asked for by.
    pub(crate) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Its line on a help page: what to write, a tab, what it is for.
    pub(crate) fn line(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| dashed(name)).collect();
        let names = names.join(", ");
        let value = match &self.default {
            FlagValue::Switch(_) => String::new(),
            FlagValue::Number(number) => format!(" \"{number}\""),
            FlagValue::Text(text) if text.is_empty() => " ".to_owned(),
            FlagValue::Text(text) => format!(" \"{text}\""),
            FlagValue::List(_) => {
                let option = format!("{} option", dashed(self.name()));
                format!(" [{option} {option}]")
            }
        };
        let env = self.env.iter().flat_map(|names| names.split(','));
        let env: Vec<String> = env
            .map(|name| name.trim())
            .filter(|name| !name.is_empty())
            .map(|name| format!("${name}"))
            .collect();
        let hint = if env.is_empty() {
            String::new()
        } else {
            format!(" [{}]", env.join(", "))
        };
        format!("{names}{value}\t{}{hint}", self.usage)
    }
}

fn dashed(name: &str) -> String {
    let dashes = if name.chars().count() == 1 { "-" } else { "--" };
    format!("{dashes}{name}")
}
