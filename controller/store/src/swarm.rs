//! The part of `config.json` about docker-machine's old kind of swarm.

use serde_json::{Value, json};

/// What docker-machine's `create` was told about its old kind of swarm, which is gone: kept for
/// the tools that read it, and otherwise without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmOptions {
    /// Join a swarm.
    pub agent: bool,
    /// Lead a swarm.
    pub master: bool,
    /// The swarm's discovery address.
    pub discovery: String,
    /// The address to advertise.
    pub address: String,
    /// What the leader listens on.
    pub host: String,
    /// The swarm's image.
    pub image: String,
    /// How containers are placed.
    pub strategy: String,
    /// Further flags of the leader.
    pub flags: Vec<String>,
    /// Further flags of a member.
    pub join_flags: Vec<String>,
    /// Experimental features.
    pub experimental: bool,
}

impl Default for SwarmOptions {
    fn default() -> Self {
        Self {
            agent: false,
            master: false,
            discovery: String::new(),
            address: String::new(),
            host: "tcp://0.0.0.0:3376".to_owned(),
            image: "swarm:latest".to_owned(),
            strategy: "spread".to_owned(),
            flags: Vec::new(),
            join_flags: Vec::new(),
            experimental: false,
        }
    }
}

/// Returns the object as docker-machine writes it.
pub(crate) fn swarm_options(swarm: &SwarmOptions) -> Value {
    json!({
        "IsSwarm": swarm.agent || swarm.master,
        "Address": swarm.address,
        "Discovery": swarm.discovery,
        "Agent": swarm.agent,
        "Master": swarm.master,
        "Host": swarm.host,
        "Image": swarm.image,
        "Strategy": swarm.strategy,
        "Heartbeat": 0,
        "Overcommit": 0,
        "ArbitraryFlags": swarm.flags,
        "ArbitraryJoinFlags": swarm.join_flags,
        "Env": null,
        "IsExperimental": swarm.experimental,
    })
}
