//! `--filter` of `ls`.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use crate::world::Failure;

/// What machines must be like: one of the values of each key.
#[derive(Debug, Default)]
pub(super) struct Filters {
    swarms: Vec<String>,
    drivers: Vec<String>,
    states: Vec<String>,
    names: Vec<Regex>,
    labels: Vec<String>,
}

// === impl Filters ===

impl Filters {
    pub(super) fn parse(texts: &[String]) -> Result<Self, Failure> {
        let mut filters = Self::default();
        for text in texts {
            let Some((key, value)) = text.split_once('=') else {
                return Err(Failure::new("Unsupported filter syntax"));
            };
            let value = value.to_owned();
            match key.to_lowercase().as_str() {
                "swarm" => filters.swarms.push(value),
                "driver" => filters.drivers.push(value),
                "state" => filters.states.push(value),
                "name" => filters.names.push(pattern(&value)?),
                "label" => filters.labels.push(value),
                other => {
                    return Err(Failure::new(format!("Unsupported filter key '{other}'")));
                }
            }
        }
        Ok(filters)
    }

    /// Says whether everything fits.
    pub(super) fn is_empty(&self) -> bool {
        self.drivers.is_empty()
            && self.names.is_empty()
            && self.labels.is_empty()
            && self.swarms.is_empty()
            && self.states.is_empty()
    }

    /// Says whether machines have to be asked what they do.
    pub(super) fn ask_for_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// Says whether a record fits. `leaders` are names of swarm leaders by their discovery address.
    pub(super) fn fit(
        &self,
        name: &str,
        record: &Value,
        leaders: &BTreeMap<String, String>,
    ) -> bool {
        let driver = record["DriverName"].as_str().unwrap_or_default();
        let options = &record["HostOptions"];
        let discovery = options["SwarmOptions"]["Discovery"]
            .as_str()
            .unwrap_or_default();
        let swarm = leaders.get(discovery).map_or("", String::as_str);
        one_of(&self.swarms, swarm)
            && one_of(&self.drivers, driver)
            && (self.names.is_empty() || self.names.iter().any(|pattern| pattern.is_match(name)))
            && self.labels_fit(&options["EngineOptions"]["Labels"])
    }

    /// Says whether a state fits.
    pub(super) fn state_fits(&self, state: &str) -> bool {
        one_of(&self.states, state)
    }

    /// A label without a value is one whose value is empty.
    fn labels_fit(&self, labels: &Value) -> bool {
        let pair = |label: &str| {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            (key.to_owned(), value.to_owned())
        };
        let own = labels.as_array().map(Vec::as_slice).unwrap_or_default();
        let own: BTreeMap<String, String> =
            own.iter().filter_map(Value::as_str).map(pair).collect();
        self.labels.is_empty()
            || self.labels.iter().any(|wanted| {
                let (key, value) = pair(wanted);
                own.get(&key)
                    .is_some_and(|own| own.eq_ignore_ascii_case(&value))
            })
    }
}

fn pattern(text: &str) -> Result<Regex, Failure> {
    Regex::new(text).map_err(|error| {
        let why = error.to_string();
        let last = why.lines().last().unwrap_or_default();
        let last = last.trim_start_matches("error: ");
        Failure::new(format!("error parsing regexp: {last}: `{text}`"))
    })
}

fn one_of(wanted: &[String], value: &str) -> bool {
    wanted.is_empty()
        || wanted
            .iter()
            .any(|wanted| wanted.to_lowercase() == value.to_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let record = json!({
            "DriverName": "none",
            "HostOptions": {
                "EngineOptions": {"Labels": ["role=Web", "plain"]},
                "SwarmOptions": {"Discovery": "token://x"},
            },
        });
        let leaders = BTreeMap::from([("token://x".to_owned(), "lead".to_owned())]);
        let filters = Filters::parse(&texts).unwrap();
        filters.fit("demo1", &record, &leaders)
    }

    #[test]
    fn values_of_one_key_are_alternatives_and_keys_add_up() {
        assert!(fits(&["driver=virtualbox", "DRIVER=None", "name=mo\\d$"]));
        assert!(!fits(&["driver=none", "name=^x"]));
        assert!(fits(&["label=role=web"]));
        assert!(fits(&["swarm=LEAD"]));
        assert!(!fits(&["label=role=db"]));
    }

    #[test]
    fn labels_without_a_value_crash_nothing() {
        assert!(fits(&["label=plain"]));
        assert!(!fits(&["label=other"]));
    }

    #[test]
    fn mistakes_are_named() {
        let said = |text: &str| Filters::parse(&[text.to_owned()]).unwrap_err().message;
        assert_eq!(said("bad").unwrap(), "Unsupported filter syntax");
        assert_eq!(said("foo=1").unwrap(), "Unsupported filter key 'foo'");
        let regexp = said("name=(").unwrap();
        assert!(regexp.starts_with("error parsing regexp: "), "{regexp}");
    }
}
