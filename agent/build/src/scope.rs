//! Which variables an instruction sees.
//!
//! Arguments before the first `FROM` are seen by `FROM` lines only; a stage gets at them, and at
//! what the machine provides (`TARGETARCH` and the like), by naming them in an `ARG` of its own.
//! `ENV` wins over `ARG`. Proxy settings need no `ARG` and are kept out of cache keys.

use std::collections::{BTreeMap, BTreeSet};

use berth_agent_images::Platform;

use crate::dockerfile::Argument;
use crate::expand::{ExpandError, Expander, Variables};

/// Arguments that every `RUN` gets when they are given, without an `ARG`.
const PROXIES: [&str; 10] = [
    "ALL_PROXY",
    "FTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What `FROM` lines see, and what was given from outside.
#[derive(Debug)]
pub(crate) struct Globals {
    expander: Expander,
    given: BTreeMap<String, String>,
    values: Variables,
    consumed: BTreeSet<String>,
}

/// What the instructions of one stage see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    arguments: BTreeMap<String, Option<String>>,
}

// === impl Globals ===

impl Globals {
    pub(crate) fn new(
        escape: char,
        given: BTreeMap<String, String>,
        target: &Platform,
        host: &Platform,
    ) -> Self {
        let mut values = Variables::new();
        for (prefix, platform) in [("TARGET", target), ("BUILD", host)] {
            values.insert(format!("{prefix}PLATFORM"), platform.to_string());
            values.insert(format!("{prefix}OS"), platform.os.clone());
            values.insert(format!("{prefix}ARCH"), platform.architecture.clone());
            values.insert(format!("{prefix}VARIANT"), platform.variant.clone());
        }
        Self {
            expander: Expander::new(escape),
            given,
            values,
            consumed: BTreeSet::new(),
        }
    }

    /// Takes an `ARG` that stands before the first `FROM`.
    pub(crate) fn declare(&mut self, argument: &Argument) -> Result<(), ExpandError> {
        let given = self.given.get(&argument.name);
        self.consumed.insert(argument.name.clone());
        let value = match (given, &argument.default) {
            (Some(given), _) => given.clone(),
            (None, Some(default)) => self.expand(default)?,
            (None, None) => return Ok(()),
        };
        self.values.insert(argument.name.clone(), value);
        Ok(())
    }

    /// Expands a word of a `FROM` line.
    pub(crate) fn expand(&self, word: &str) -> Result<String, ExpandError> {
        Ok(self.expander.expand(word, &self.values)?.text)
    }

    pub(crate) fn expander(&self) -> Expander {
        self.expander
    }

    /// Names that were given but that no `ARG` asked for.
    pub(crate) fn unconsumed(&self) -> Vec<&str> {
        let names = self.given.keys().map(String::as_str);
        names
            .filter(|name| !self.consumed.contains(*name) && !PROXIES.contains(name))
            .collect()
    }
}

// === impl Scope ===

impl Scope {
    /// Takes an `ARG` of the stage.
    pub(crate) fn declare(
        &mut self,
        argument: &Argument,
        env: &[String],
        globals: &mut Globals,
    ) -> Result<(), ExpandError> {
        let expander = globals.expander;
        let name = expander.expand(&argument.name, &self.variables(env))?.text;
        let default = match &argument.default {
            Some(default) => Some(expander.expand(default, &self.variables(env))?.text),
            None => globals.values.get(&name).cloned(),
        };
        globals.consumed.insert(name.clone());
        let value = globals.given.get(&name).cloned().or(default);
        self.arguments.insert(name, value);
        Ok(())
    }

    /// What words of instructions are expanded with.
    pub(crate) fn variables(&self, env: &[String]) -> Variables {
        let arguments = self.arguments.iter();
        let mut variables: Variables = arguments
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .collect();
        variables.extend(env.iter().map(|line| {
            let (name, value) = split_env(line);
            (name.to_owned(), value.to_owned())
        }));
        variables
    }

    /// The arguments that a command gets besides the environment, as `NAME=value`; those that are
    /// part of the cache key.
    pub(crate) fn command_arguments(&self, env: &[String]) -> Vec<String> {
        let in_env = |name: &str| env.iter().any(|line| split_env(line).0 == name);
        self.arguments
            .iter()
            .filter_map(|(name, value)| {
                let value = value.as_ref().filter(|_| !in_env(name))?;
                Some(format!("{name}={value}"))
            })
            .collect()
    }

    /// Proxy settings that a command gets without an `ARG`.
    pub(crate) fn proxies(&self, env: &[String], globals: &Globals) -> Vec<String> {
        let known = |name: &str| {
            self.arguments.contains_key(name) || env.iter().any(|line| split_env(line).0 == name)
        };
        PROXIES
            .iter()
            .filter(|name| !known(name))
            .filter_map(|name| {
                globals
                    .given
                    .get(*name)
                    .map(|value| format!("{name}={value}"))
            })
            .collect()
    }
}

/// Splits `NAME=value`.
pub(crate) fn split_env(line: &str) -> (&str, &str) {
    line.split_once('=').unwrap_or((line, ""))
}

/// Sets a variable in a list of `NAME=value` lines, at its old place if it has one.
pub(crate) fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let line = format!("{name}={value}");
    match env.iter_mut().find(|line| split_env(line).0 == name) {
        Some(old) => *old = line,
        None => env.push(line),
    }
}

#[cfg(test)]
mod tests {
    use super::{Globals, Platform, Scope, set_env};
    use crate::dockerfile::Argument;

    fn argument(name: &str, default: Option<&str>) -> Argument {
        Argument {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            comment: String::new(),
        }
    }

    fn globals(given: &[(&str, &str)]) -> Globals {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let platform = Platform {
            os: "linux".to_owned(),
            architecture: "arm".to_owned(),
            variant: "v7".to_owned(),
        };
        Globals::new('\\', given.collect(), &platform, &platform)
    }

    #[test]
    fn an_argument_before_from_is_seen_in_a_stage_only_after_an_arg_of_its_own() {
        let mut globals = globals(&[]);
        globals
            .declare(&argument("V", Some("1.${TARGETARCH}")))
            .expect("fine");
        assert_eq!(globals.expand("base:$V").as_deref(), Ok("base:1.arm"));
        let mut scope = Scope::default();
        assert!(!scope.variables(&[]).contains_key("V"));
        scope
            .declare(&argument("V", None), &[], &mut globals)
            .expect("fine");
        assert_eq!(scope.variables(&[])["V"], "1.arm");
    }

    #[test]
    fn the_given_value_wins_over_defaults_and_env_wins_over_both() {
        let mut globals = globals(&[("V", "given")]);
        let mut scope = Scope::default();
        scope
            .declare(&argument("V", Some("default")), &[], &mut globals)
            .expect("fine");
        assert_eq!(scope.variables(&[])["V"], "given");
        assert_eq!(scope.command_arguments(&[]), ["V=given"]);
        let env = ["V=env".to_owned()];
        assert_eq!(scope.variables(&env)["V"], "env");
        assert!(scope.command_arguments(&env).is_empty());
    }

    #[test]
    fn an_argument_without_any_value_is_not_there() {
        let mut globals = globals(&[]);
        let mut scope = Scope::default();
        scope
            .declare(&argument("V", None), &[], &mut globals)
            .expect("fine");
        assert!(scope.variables(&[]).is_empty());
        assert!(scope.command_arguments(&[]).is_empty());
    }

    #[test]
    fn what_nobody_asked_for_is_told_but_proxies_are_always_welcome() {
        let globals = globals(&[("http_proxy", "p"), ("stray", "1"), ("also", "2")]);
        assert_eq!(globals.unconsumed(), ["also", "stray"]);
        let scope = Scope::default();
        assert_eq!(scope.proxies(&[], &globals), ["http_proxy=p"]);
        assert!(
            scope
                .proxies(&["http_proxy=mine".to_owned()], &globals)
                .is_empty()
        );
    }

    #[test]
    fn setting_a_variable_again_keeps_its_place() {
        let mut env = vec!["A=1".to_owned(), "B=2".to_owned()];
        set_env(&mut env, "A", "3");
        set_env(&mut env, "C", "4");
        assert_eq!(env, ["A=3", "B=2", "C=4"]);
    }
}
