//! The flags of `create` that every driver gets, under docker-machine's names: plugins may ask for
//! any of them.

use berth_provisioners_api::{FlagValue, FlagValues};

use crate::CreateRequest;

/// Adds the shared flags to a driver's own.
pub(crate) fn with_shared(mut flags: FlagValues, request: &CreateRequest) -> FlagValues {
    let (engine, swarm) = (&request.engine, &request.swarm);
    let texts = [
        ("driver", &request.driver),
        ("engine-install-url", &engine.install_url),
        ("engine-storage-driver", &engine.storage_driver),
        ("swarm-image", &swarm.image),
        ("swarm-discovery", &swarm.discovery),
        ("swarm-strategy", &swarm.strategy),
        ("swarm-host", &swarm.host),
        ("swarm-addr", &swarm.address),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            flags.set(name, FlagValue::Text(text.clone()));
        }
    }
    let lists = [
        ("engine-opt", &engine.arbitrary_flags),
        ("engine-env", &engine.env),
        ("engine-insecure-registry", &engine.insecure_registries),
        ("engine-registry-mirror", &engine.registry_mirrors),
        ("engine-label", &engine.labels),
        ("swarm-opt", &swarm.flags),
        ("swarm-join-opt", &swarm.join_flags),
        ("tls-san", &request.certificate_names),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            flags.set(name, FlagValue::List(list.clone()));
        }
    }
    let switches = [
        ("swarm", swarm.agent),
        ("swarm-master", swarm.master),
        ("swarm-experimental", swarm.experimental),
    ];
    for (name, on) in switches {
        flags.set(name, FlagValue::Switch(on));
    }
    flags
}
