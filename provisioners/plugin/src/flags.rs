//! The flags of `create`: those that a plugin declares, and those that every driver gets.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use berth_provisioners_api::{FlagSpec, FlagValue, FlagValues};

use crate::gob::Value;

/// What docker-machine's `create` tells every driver where the operator said nothing.
fn shared() -> BTreeMap<String, FlagValue> {
    let texts = [
        ("driver", ""),
        ("engine-install-url", "https://get.docker.com"),
        ("engine-storage-driver", ""),
        ("swarm-image", "swarm:latest"),
        ("swarm-discovery", ""),
        ("swarm-strategy", "spread"),
        ("swarm-host", "tcp://0.0.0.0:3376"),
        ("swarm-addr", ""),
        // These two are rancher's.
        ("custom-install-script", ""),
        ("hostname-override", ""),
    ];
    let switches = ["swarm", "swarm-master", "swarm-experimental"];
    let texts = texts.map(|(name, text)| (name.to_owned(), FlagValue::Text(text.to_owned())));
    let switches = switches.map(|name| (name.to_owned(), FlagValue::Switch(false)));
    texts.into_iter().chain(switches).collect()
}

/// The lists among the shared flags, which are sent only when something is in them.
const SHARED_LISTS: [&str; 8] = [
    "engine-opt",
    "engine-insecure-registry",
    "engine-registry-mirror",
    "engine-label",
    "engine-env",
    "swarm-opt",
    "swarm-join-opt",
    "tls-san",
];

/// Returns all values that a driver may ask for: the shared flags and its own.
pub(crate) fn options(
    driver: &str,
    specs: &[FlagSpec],
    given: &FlagValues,
) -> BTreeMap<String, FlagValue> {
    let mut values = shared();
    values.insert("driver".to_owned(), FlagValue::Text(driver.to_owned()));
    for (name, value) in &mut values {
        if let Some(given) = given.get(name).filter(|given| given.kind() == value.kind()) {
            *value = given.clone();
        }
    }
    for name in SHARED_LISTS {
        let list = given.list(name);
        if !list.is_empty() {
            values.insert(name.to_owned(), FlagValue::List(list.to_vec()));
        }
    }
    for spec in specs {
        let given = given.get(&spec.name);
        let value = given.filter(|given| given.kind() == spec.default.kind());
        let value = value.unwrap_or(&spec.default).clone();
        values.insert(spec.name.to_string(), value);
    }
    values
}

/// Returns the flags that a plugin declares, or what is wrong with them.
pub(crate) fn specs(value: &Value) -> Result<Vec<FlagSpec>, String> {
    let list = value.list().ok_or("something else than a list of flags")?;
    let specs: Vec<FlagSpec> = list.iter().map(spec).collect::<Result<_, _>>()?;
    let shared = shared();
    let mut names = BTreeSet::new();
    for spec in &specs {
        let name = spec.name.as_ref();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
            return Err(format!("a flag of the impossible name {name:?}"));
        }
        if shared.contains_key(name) || SHARED_LISTS.contains(&name) || name == "help" {
            return Err(format!("a flag --{name}, which create has itself"));
        }
        if !names.insert(name) {
            return Err(format!("flag --{name} twice"));
        }
    }
    Ok(specs)
}

fn spec(value: &Value) -> Result<FlagSpec, String> {
    let Value::Interface(kind, flag) = value else {
        return Err("something else than a flag in its list".to_owned());
    };
    // Go registers a pointer without the path of its package, other forks might with it.
    let default = match kind.rsplit(['.', '/']).next() {
        Some("StringFlag") => FlagValue::Text(flag.text_of("Value").to_owned()),
        Some("IntFlag") => FlagValue::Number(flag.int_of("Value")),
        Some("BoolFlag") => FlagValue::Switch(false),
        Some("StringSliceFlag") => {
            let list = flag.field("Value").and_then(Value::texts);
            FlagValue::List(list.unwrap_or_default())
        }
        _ => return Err(format!("a flag of the unknown kind {kind:?}")),
    };
    let env = flag.text_of("EnvVar");
    Ok(FlagSpec {
        name: Cow::Owned(flag.text_of("Name").to_owned()),
        env: (!env.is_empty()).then(|| Cow::Owned(env.to_owned())),
        default,
        help: Cow::Owned(flag.text_of("Usage").to_owned()),
        // Plugins cannot say so; the flag's name has to.
        secret: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(kind: &str, name: &str, fields: &[(&str, Value)]) -> Value {
        let mut all = BTreeMap::from([("Name".to_owned(), Value::Text(name.to_owned()))]);
        all.extend(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        Value::Interface(kind.to_owned(), Box::new(Value::Struct(all)))
    }

    #[test]
    fn flags_keep_kind_default_and_variable() {
        let list = Value::List(vec![
            flag(
                "*mcnflag.IntFlag",
                "x-port",
                &[
                    ("Value", Value::Int(22)),
                    ("EnvVar", Value::Text("X_PORT".to_owned())),
                ],
            ),
            flag("*mcnflag.BoolFlag", "x-fast", &[]),
            flag(
                "github.com/rancher/machine/libmachine/mcnflag.StringSliceFlag",
                "x-tag",
                &[("Value", Value::List(vec![Value::Text("a".to_owned())]))],
            ),
        ]);
        let specs = specs(&list).unwrap();
        assert_eq!(specs[0].default, FlagValue::Number(22));
        assert_eq!(specs[0].env.as_deref(), Some("X_PORT"));
        assert_eq!(specs[1].default, FlagValue::Switch(false));
        assert_eq!(specs[2].default, FlagValue::List(vec!["a".to_owned()]));
    }

    #[test]
    fn flags_that_would_confuse_create_are_refused() {
        let refused = |flags: Vec<Value>| specs(&Value::List(flags)).unwrap_err();
        let text = |name: &str| flag("*mcnflag.StringFlag", name, &[]);
        assert!(refused(vec![text("driver")]).contains("create has itself"));
        assert!(refused(vec![text("")]).contains("impossible"));
        assert!(refused(vec![text("--x")]).contains("impossible"));
        assert!(refused(vec![text("x"), text("x")]).contains("twice"));
        assert!(refused(vec![flag("*x.Unknown", "x", &[])]).contains("unknown kind"));
        assert!(refused(vec![Value::Nil]).contains("else than a flag"));
    }

    #[test]
    fn every_option_has_a_value() {
        let own = [
            FlagSpec::number("x-port", 22, ""),
            FlagSpec::list("x-tag", ""),
        ];
        let mut given = FlagValues::default();
        given.set("x-port", FlagValue::Text("not a number".to_owned()));
        given.set("engine-label", FlagValue::List(vec!["a=b".to_owned()]));
        given.set("swarm-master", FlagValue::Switch(true));
        let options = options("x", &own, &given);
        assert_eq!(options["driver"], FlagValue::Text("x".to_owned()));
        assert_eq!(options["x-port"], FlagValue::Number(22));
        assert_eq!(options["x-tag"], FlagValue::List(Vec::new()));
        assert_eq!(options["swarm-master"], FlagValue::Switch(true));
        assert_eq!(
            options["swarm-host"],
            FlagValue::Text("tcp://0.0.0.0:3376".to_owned())
        );
        assert_eq!(
            options["engine-label"],
            FlagValue::List(vec!["a=b".to_owned()])
        );
        assert!(!options.contains_key("tls-san"), "lists only when set");
    }
}
