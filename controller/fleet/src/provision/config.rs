//! What an agent is told to be.

use berth_controller_pki::ServerIdentity;
use berth_controller_provision::{AgentConfig, EngineSettings, Present};
use berth_controller_store::{EngineOptions, MachineRecord};
use berth_provisioners_api::Machine;
use serde_json::Value;

use super::ProvisionError;

/// Returns what the engine was asked to be.
pub(crate) fn settings(engine: EngineOptions) -> EngineSettings {
    EngineSettings {
        options: engine.arbitrary_flags,
        storage_driver: engine.storage_driver,
        environment: engine.env,
        labels: engine.labels,
        insecure_registries: engine.insecure_registries,
        registry_mirrors: engine.registry_mirrors,
    }
}

/// Returns what a machine's agent is told to be, and what of it has no effect. An agent that others
/// have set up stays as it is.
pub(super) fn agent_config(
    record: &MachineRecord,
    machine: &dyn Machine,
    identity: &ServerIdentity,
    present: &Present,
) -> Result<(AgentConfig, Vec<String>), ProvisionError> {
    if is_others(record) && is_usable(&present.configuration) {
        let config = AgentConfig {
            environment: present.environment.clone(),
            kept: present.configuration.clone(),
            ..AgentConfig::default()
        };
        return Ok((config, Vec::new()));
    }
    let read = settings(record.config.engine()).read();
    let (mut config, without_effect) = read.map_err(|source| ProvisionError::Options {
        machine: record.name.to_string(),
        source,
    })?;
    // Hosts without IP version 6 cannot listen on its wildcard, and one of version 4 is not enough
    // for a machine that is known by an address of version 6.
    let any = if identity.names[0].contains(':') {
        "[::]"
    } else {
        "0.0.0.0"
    };
    config.listen = vec![format!("{any}:{}", machine.engine_port())];
    let provider = format!("provider={}", record.config.driver_name());
    let has_own = |label: &String| label.starts_with("provider=");
    if !config.labels.iter().any(has_own) {
        config.labels.push(provider);
    }
    Ok((config, without_effect))
}

/// Returns whether somebody else may have changed the machine's agent since it is on record here.
fn is_others(record: &MachineRecord) -> bool {
    record.side.adopted || !record.side.trusted.is_empty()
}

/// Returns whether an agent can be reached that is configured like this: it listens, with the
/// certificates that are put beside its configuration.
fn is_usable(configuration: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(configuration) else {
        return false;
    };
    let listens = |listen: &Value| listen.as_array().is_some_and(|all| !all.is_empty());
    listens(&value["listen"]) && value["tls"].is_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_configuration_that_an_agent_can_be_reached_with_is_kept() {
        assert!(is_usable(r#"{"listen":["[::]:2376"],"tls":{},"dns":[]}"#));
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"listen":[],"tls":{}}"#,
            r#"{"listen":["a"]}"#,
        ] {
            assert!(!is_usable(text), "{text}");
        }
    }
}
