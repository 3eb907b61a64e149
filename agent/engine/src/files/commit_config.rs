//! The configuration of an image that is made of a container: what the caller changes, and the
//! container's own where he says nothing.

use std::collections::BTreeMap;

use berth_agent_images::ContainerDefaults;
use serde_json::{Map, Value};

use crate::container::record::MergedConfig;
use crate::create::health as checks;

/// Returns the changes completed by what the container has.
pub(super) fn merge(mut changed: ContainerDefaults, own: &ContainerDefaults) -> ContainerDefaults {
    take_if_empty(&mut changed.user, &own.user);
    take_if_empty(&mut changed.working_dir, &own.working_dir);
    complete(&mut changed.exposed_ports, &own.exposed_ports);
    complete(&mut changed.volumes, &own.volumes);
    complete(&mut changed.labels, &own.labels);
    for line in &own.env {
        let name = variable(line);
        if !changed.env.iter().any(|other| variable(other) == name) {
            changed.env.push(line.clone());
        }
    }
    // A command belongs to its entry point.
    if changed.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if changed.cmd.as_ref().is_none_or(Vec::is_empty) {
            changed.cmd.clone_from(&own.cmd);
            changed.args_escaped = own.args_escaped;
        }
        if changed.entrypoint.is_none() {
            changed.entrypoint.clone_from(&own.entrypoint);
        }
    }
    changed.healthcheck = health(changed.healthcheck.take(), own.healthcheck.as_ref());
    changed.stop_signal = changed.stop_signal.or_else(|| own.stop_signal.clone());
    changed.stop_timeout = changed.stop_timeout.or(own.stop_timeout);
    changed.shell = changed.shell.or_else(|| own.shell.clone());
    changed
}

/// Returns what a container was made with, in the form that images have.
pub(super) fn own(config: &MergedConfig, image: &ContainerDefaults) -> ContainerDefaults {
    let set = |names: &[String]| -> BTreeMap<String, Value> {
        let empty = || Value::Object(Map::new());
        names.iter().map(|name| (name.clone(), empty())).collect()
    };
    let words = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    ContainerDefaults {
        user: config.user.clone(),
        exposed_ports: set(&config.exposed_ports),
        env: config.env.clone(),
        entrypoint: words(&config.entrypoint),
        cmd: words(&config.command),
        volumes: set(&config.volumes),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone(),
        stop_signal: Some(config.stop_signal.clone()).filter(|signal| !signal.is_empty()),
        stop_timeout: config.stop_timeout_seconds,
        shell: words(&config.shell),
        healthcheck: config.healthcheck.as_ref().map(checks::as_json),
        args_escaped: image.args_escaped,
        ..ContainerDefaults::default()
    }
}

fn take_if_empty(changed: &mut String, own: &str) {
    if changed.is_empty() {
        own.clone_into(changed);
    }
}

fn complete<V: Clone>(changed: &mut BTreeMap<String, V>, own: &BTreeMap<String, V>) {
    for (key, value) in own {
        if !changed.contains_key(key) {
            changed.insert(key.clone(), value.clone());
        }
    }
}

fn variable(line: &str) -> &str {
    line.split_once('=').map_or(line, |(name, _value)| name)
}

/// Fills up a check that leaves things open: a missing field, or a time or number of 0.
fn health(changed: Option<Value>, own: Option<&Value>) -> Option<Value> {
    let (Some(mut changed), Some(own)) = (changed.clone(), own) else {
        return changed.or_else(|| own.cloned());
    };
    let (Some(fields), Some(own)) = (changed.as_object_mut(), own.as_object()) else {
        return Some(changed);
    };
    for (key, value) in own {
        let is_open = fields.get(key).is_none_or(|value| {
            value.is_null()
                || value.as_i64() == Some(0)
                || value.as_array().is_some_and(Vec::is_empty)
        });
        if is_open {
            fields.insert(key.clone(), value.clone());
        }
    }
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn container() -> ContainerDefaults {
        ContainerDefaults {
            user: "app".to_owned(),
            env: words("PATH=/bin A=1"),
            cmd: Some(words("serve")),
            entrypoint: Some(words("/entry")),
            labels: [("l".to_owned(), "own".to_owned())].into(),
            healthcheck: Some(serde_json::json!({"Test": ["CMD", "x"], "Interval": 5})),
            ..ContainerDefaults::default()
        }
    }

    #[test]
    fn what_is_not_changed_is_the_containers() {
        let merged = merge(ContainerDefaults::default(), &container());
        assert_eq!(merged, container());
    }

    #[test]
    fn the_check_and_the_shell_are_the_containers_and_not_the_images() {
        let image = ContainerDefaults {
            shell: Some(words("/bin/other -c")),
            healthcheck: Some(serde_json::json!({"Test": ["CMD", "image"]})),
            ..ContainerDefaults::default()
        };
        let with = |test: &[&str]| MergedConfig {
            shell: words("/bin/ash -c"),
            healthcheck: Some(crate::HealthOptions {
                test: test.iter().map(|&word| word.to_owned()).collect(),
                start_interval_nanos: 7_000_000,
                ..crate::HealthOptions::default()
            }),
            ..MergedConfig::default()
        };
        let of_container = own(&with(&["CMD", "own"]), &image);
        assert_eq!(of_container.shell, Some(words("/bin/ash -c")));
        let expected = serde_json::json!({"Test": ["CMD", "own"], "StartInterval": 7_000_000});
        assert_eq!(of_container.healthcheck, Some(expected));
        // One that is switched off stays so.
        let expected = serde_json::json!({"Test": ["NONE"], "StartInterval": 7_000_000});
        let off = own(&with(&["NONE"]), &image).healthcheck;
        assert_eq!(off, Some(expected));
        assert_eq!(own(&MergedConfig::default(), &image).healthcheck, None);
    }

    #[test]
    fn changes_win_and_variables_are_completed() {
        let changes = ContainerDefaults {
            env: words("A=2 B=3"),
            cmd: Some(words("other")),
            labels: [("l".to_owned(), "new".to_owned())].into(),
            healthcheck: Some(serde_json::json!({"Test": ["CMD", "y"], "Interval": 0})),
            ..ContainerDefaults::default()
        };
        let merged = merge(changes, &container());
        assert_eq!(merged.env, words("A=2 B=3 PATH=/bin"));
        assert_eq!(merged.cmd, Some(words("other")));
        assert_eq!(merged.entrypoint, Some(words("/entry")));
        assert_eq!(merged.labels["l"], "new");
        let health = merged.healthcheck.expect("a check");
        assert_eq!(
            (&health["Test"][1], &health["Interval"]),
            (&"y".into(), &5.into())
        );
    }

    #[test]
    fn another_entry_point_takes_no_command_of_the_old_one() {
        let changes = ContainerDefaults {
            entrypoint: Some(words("/new")),
            ..ContainerDefaults::default()
        };
        let merged = merge(changes, &container());
        assert_eq!((merged.entrypoint, merged.cmd), (Some(words("/new")), None));
    }
}
