//! The methods by which docker-machine drives a machine.

use std::collections::BTreeMap;

use berth_provisioners_api::{FlagValue, FlagValues};

use super::machine::Served;
use crate::gob::{Body, Value};

pub(super) const HEARTBEAT: &str = "Heartbeat";
pub(super) const CLOSE: &str = "Close";

/// The names under which hosts look for a driver.
const SERVICES: [&str; 2] = ["RPCServerDriver", "RpcServerDriver"];
const API_VERSION: i64 = 1;

/// What can be called; hosts find out by trying, and know Go's words for a refusal.
const METHODS: [&str; 22] = [
    "GetVersion",
    "SetConfigRaw",
    "GetConfigRaw",
    "GetCreateFlags",
    "SetConfigFromFlags",
    "DriverName",
    "GetMachineName",
    "GetIP",
    "GetURL",
    "GetSSHHostname",
    "GetSSHKeyPath",
    "GetSSHUsername",
    "GetSSHPort",
    "GetState",
    "PreCreateCheck",
    "Create",
    "Remove",
    "Start",
    "Stop",
    "Restart",
    "Kill",
    "GetIPv6",
];

/// Returns a method's name without its service.
pub(super) fn plain(method: &str) -> Result<&str, String> {
    let Some((service, name)) = method.rsplit_once('.') else {
        return Err(format!("rpc: service/method request ill-formed: {method}"));
    };
    if !SERVICES.contains(&service) {
        return Err(format!("rpc: can't find service {method}"));
    }
    if METHODS.contains(&name) || [HEARTBEAT, CLOSE].contains(&name) {
        return Ok(name);
    }
    Err(format!("rpc: can't find method {method}"))
}

/// Does what a method says.
pub(super) async fn call(served: &Served, name: &str, argument: Value) -> Result<Body, String> {
    let nothing = |()| Body::Empty;
    match name {
        "GetVersion" => Ok(Body::Int(API_VERSION)),
        "SetConfigRaw" => served.set_config(&bytes(argument)?).await.map(nothing),
        "GetConfigRaw" => Ok(Body::Bytes(served.config())),
        "GetCreateFlags" => served.flags().map(Body::Flags),
        "SetConfigFromFlags" => {
            let options = options(&argument)?;
            served.configure(&options).await.map(nothing)
        }
        "DriverName" => Ok(Body::Text(served.driver_name())),
        "GetMachineName" => Ok(Body::Text(served.machine_name())),
        "GetIP" => served.ip().await.map(Body::Text),
        "GetIPv6" => {
            let ip = served.ip().await?;
            Ok(Body::Text(if ip.contains(':') {
                ip
            } else {
                String::new()
            }))
        }
        "GetURL" => served.url().await.map(Body::Text),
        "GetSSHHostname" => Ok(Body::Text(served.ssh().await?.host)),
        "GetSSHUsername" => Ok(Body::Text(served.ssh().await?.user)),
        "GetSSHPort" => Ok(Body::Int(served.ssh().await?.port.into())),
        "GetSSHKeyPath" => {
            let key = served.ssh().await?.key.unwrap_or_default();
            Ok(Body::Text(key.to_string_lossy().into_owned()))
        }
        "GetState" => served.state().await.map(Body::Int),
        "PreCreateCheck" => served.check().await.map(nothing),
        "Create" => served.create().await.map(nothing),
        "Remove" => served.remove().await.map(nothing),
        "Start" => served.start().await.map(nothing),
        "Stop" => served.stop().await.map(nothing),
        "Restart" => served.restart().await.map(nothing),
        "Kill" => served.kill().await.map(nothing),
        // Heartbeats are counted where they arrive.
        _ => Ok(Body::Empty),
    }
}

fn bytes(argument: Value) -> Result<Vec<u8>, String> {
    match argument {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err("the configuration is no list of bytes".to_owned()),
    }
}

/// Returns the values of flags that a host sends.
fn options(argument: &Value) -> Result<FlagValues, String> {
    let unknown = || "the options are of an unknown kind".to_owned();
    let Value::Interface(_name, options) = argument else {
        return Err(unknown());
    };
    let mut values = FlagValues::default();
    match options.field("Values") {
        None => {}
        Some(Value::Map(pairs)) => {
            let options: BTreeMap<&str, &Value> = pairs
                .iter()
                .filter_map(|(name, value)| Some((name.text()?, value)))
                .collect();
            for (name, value) in options {
                if let Some(value) = option(value) {
                    values.set(name, value);
                }
            }
        }
        Some(_) => return Err(unknown()),
    }
    Ok(values)
}

fn option(value: &Value) -> Option<FlagValue> {
    let Value::Interface(_kind, value) = value else {
        return None;
    };
    Some(match &**value {
        Value::Bool(on) => FlagValue::Switch(*on),
        Value::Text(text) => FlagValue::Text(text.clone()),
        Value::List(_) => FlagValue::List(value.texts()?),
        other => FlagValue::Number(other.int()?),
    })
}
