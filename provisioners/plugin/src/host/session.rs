//! A plugin that runs and knows its machine, and the calls of its driver.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::net::TcpStream;
use tokio::process::ChildStdout;
use tokio::time::{sleep, timeout};

use super::lines::{Lines, Log};
use super::process::Process;
use crate::error::{PluginError, Said};
use crate::gob::{Body, Value};
use crate::json;
use crate::lookup::Plugin;
use crate::rpc::{Client, RpcError, handshake};

/// The names under which drivers are served, the newer first.
const SERVICES: [&str; 2] = ["RPCServerDriver", "RpcServerDriver"];
/// The version of the interface between plugins and their hosts.
const API_VERSION: i64 = 1;
/// A plugin ends by itself when it gets none for twice as long.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long to wait for the end of a process whose connection has ended, to tell how it ended.
const AFTERMATH: Duration = Duration::from_millis(500);
/// The characters of garbage that an error shows.
const N_SHOWN: usize = 100;

/// The machine that a session is about.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) machine: String,
    /// Its configuration, as the driver returned it last.
    pub(crate) config: Json,
}

/// A running plugin.
#[derive(Debug)]
pub(crate) struct Session {
    plugin: Arc<Plugin>,
    client: Arc<Client>,
    service: &'static str,
    process: Process,
    pub(crate) log: Arc<Log>,
    /// Set when a call got no answer: nobody knows what the plugin is doing then.
    spoiled: AtomicBool,
}

// === impl Session ===

impl Session {
    /// Starts a plugin and tells it its machine; on the thread for plugins.
    pub(crate) async fn open(plugin: Arc<Plugin>, label: Label) -> Result<Self, PluginError> {
        let (process, output) = Process::start(&plugin)?;
        let log = Arc::new(Log::new(plugin.options.clone(), &plugin.name));
        let errors = Arc::clone(&log);
        tokio::spawn(async move { errors.drain(Lines::new(output.stderr), true).await });
        let mut lines = Lines::new(output.stdout);
        let address = address(&plugin, &process, &mut lines, &log).await?;
        let rest = Arc::clone(&log);
        tokio::spawn(async move { rest.drain(lines, false).await });
        let client = Arc::new(connect(&plugin, address).await?);
        let mut session = Self {
            plugin,
            client,
            service: SERVICES[0],
            process,
            log,
            spoiled: AtomicBool::new(false),
        };
        session.agree().await?;
        session.keep_alive();
        session.introduce(&label).await?;
        Ok(session)
    }

    /// Finds out which of its names the service has, and that we mean the same by it.
    async fn agree(&mut self) -> Result<(), PluginError> {
        let mut version = self.call("GetVersion", Body::Empty).await;
        if matches!(version, Err(PluginError::Refused { .. })) {
            self.service = SERVICES[1];
            version = self.call("GetVersion", Body::Empty).await;
        }
        let closer = (Arc::clone(&self.client), self.service);
        let _ = self.process.closer.set(closer);
        match version?.int() {
            Some(API_VERSION) => Ok(()),
            version => Err(PluginError::Version {
                driver: self.plugin.name.clone(),
                version: version.unwrap_or_default(),
            }),
        }
    }

    fn keep_alive(&self) {
        let (client, stop) = (Arc::clone(&self.client), self.process.stop.clone());
        let method = format!("{}.Heartbeat", self.service);
        let patience = self.plugin.options.deadlines.heartbeat;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(HEARTBEAT) => {}
                }
                match timeout(patience, client.call(&method, &Body::Empty)).await {
                    Ok(Ok(_)) => {}
                    // Gone, or so old that it needs none.
                    Ok(Err(_)) => return,
                    Err(_elapsed) => {
                        let patience = patience.as_secs_f32();
                        client.end(&format!("it answered no heartbeat within {patience} s"));
                        stop.cancel();
                        return;
                    }
                }
            }
        });
    }

    async fn introduce(&self, label: &Label) -> Result<(), PluginError> {
        self.set_config(&label.config).await?;
        let name = self.text("GetMachineName").await?;
        self.log.set_machine(if name.is_empty() {
            &label.machine
        } else {
            &name
        });
        Ok(())
    }

    /// Gives the driver another configuration of its machine.
    pub(crate) async fn set_config(&self, config: &Json) -> Result<(), PluginError> {
        let config = Body::Bytes(json::write(config));
        self.call("SetConfigRaw", config).await?;
        Ok(())
    }

    /// Returns the driver's configuration of its machine.
    pub(crate) async fn config(&self) -> Result<Json, PluginError> {
        let method = "GetConfigRaw";
        let Value::Bytes(bytes) = self.call(method, Body::Empty).await? else {
            return Err(self.unlike(method, "something else than bytes"));
        };
        match json::read(&bytes) {
            Ok(config @ Json::Object(_)) => Ok(config),
            Ok(_) => Err(self.unlike(method, "JSON that is no object")),
            Err(error) => Err(self.unlike(method, &format!("what is no JSON: {error}"))),
        }
    }

    /// Returns the driver's configuration while it works on something else; nothing when it does
    /// not answer, which is no reason to give up that work.
    pub(crate) async fn note(&self) -> Option<Json> {
        let method = format!("{}.GetConfigRaw", self.service);
        match self.client.call(&method, &Body::Empty).await {
            Ok(Value::Bytes(bytes)) => json::read(&bytes).ok().filter(Json::is_object),
            _ => None,
        }
    }

    /// Calls a method that returns text.
    pub(crate) async fn text(&self, method: &str) -> Result<String, PluginError> {
        match self.call(method, Body::Empty).await? {
            Value::Text(text) => Ok(text),
            _ => Err(self.unlike(method, "something else than text")),
        }
    }

    /// Calls a method that returns a number.
    pub(crate) async fn int(&self, method: &str) -> Result<i64, PluginError> {
        let value = self.call(method, Body::Empty).await?;
        value
            .int()
            .ok_or_else(|| self.unlike(method, "something else than a number"))
    }

    /// Calls a method; when no answer comes in time, the session is of no further use.
    pub(crate) async fn call(&self, method: &str, body: Body) -> Result<Value, PluginError> {
        let after = self.patience(method);
        let driver = self.plugin.name.clone();
        let name = format!("{}.{method}", self.service);
        match timeout(after, self.client.call(&name, &body)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(RpcError::Server(said))) => Err(PluginError::Refused {
                driver,
                method: method.to_owned(),
                source: Said(said),
            }),
            Ok(Err(RpcError::Lost(reason))) => {
                self.spoiled.store(true, Ordering::Relaxed);
                Err(lost(&self.process, &self.log, &driver, (method, reason)).await)
            }
            Err(_elapsed) => {
                self.spoiled.store(true, Ordering::Relaxed);
                Err(PluginError::Timeout {
                    driver,
                    method: method.to_owned(),
                    after,
                })
            }
        }
    }

    /// Returns whether it makes sense to call it again.
    pub(crate) fn is_usable(&self) -> bool {
        !self.spoiled.load(Ordering::Relaxed)
            && !self.process.has_ended()
            && !self.process.stop.is_cancelled()
    }

    /// Returns whether the plugin can still be asked what it has made.
    pub(crate) fn is_there(&self) -> bool {
        !self.process.has_ended()
    }

    fn patience(&self, method: &str) -> Duration {
        let deadlines = &self.plugin.options.deadlines;
        match method {
            // A check may fetch an image of a system before it says yes.
            "PreCreateCheck" | "Create" | "Start" | "Stop" | "Restart" | "Kill" | "Remove" => {
                deadlines.work
            }
            "SetConfigFromFlags" | "GetState" | "GetIP" | "GetIPv6" | "GetURL"
            | "GetSSHHostname" | "GetSSHPort" => deadlines.question,
            _ => deadlines.fact,
        }
    }

    pub(crate) fn unlike(&self, method: &str, what: &str) -> PluginError {
        PluginError::Answer {
            driver: self.plugin.name.clone(),
            method: method.to_owned(),
            what: what.to_owned(),
        }
    }
}

/// Reads the line that says where a plugin listens.
async fn address(
    plugin: &Plugin,
    process: &Process,
    lines: &mut Lines<ChildStdout>,
    log: &Log,
) -> Result<SocketAddr, PluginError> {
    let after = plugin.options.deadlines.start;
    let driver = plugin.name.clone();
    let Ok(line) = timeout(after, lines.next()).await else {
        return Err(PluginError::Silent { driver, after });
    };
    let Ok(Some(line)) = line else {
        let reason = "it printed no address".to_owned();
        return Err(lost(process, log, &driver, ("its start", reason)).await);
    };
    line.trim()
        .parse()
        .map_err(|_error| PluginError::NoAddress {
            driver,
            said: log.filtered(line).chars().take(N_SHOWN).collect(),
        })
}

async fn connect(plugin: &Plugin, address: SocketAddr) -> Result<Client, PluginError> {
    let connected = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        handshake::connect(&mut stream).await?;
        Ok(Client::new(stream))
    };
    let after = plugin.options.deadlines.start;
    let result = timeout(after, connected).await.unwrap_or_else(|_elapsed| {
        let text = format!("no answer within {} s", after.as_secs_f32());
        Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
    });
    result.map_err(|source| PluginError::Connect {
        driver: plugin.name.clone(),
        address: address.to_string(),
        source,
    })
}

/// Tells how a plugin was lost: by its end, if that is near.
async fn lost(
    process: &Process,
    log: &Log,
    driver: &str,
    (during, reason): (&str, String),
) -> PluginError {
    let reason = match process.end_within(AFTERMATH).await {
        Some(status) if !process.stop.is_cancelled() => format!("it ended ({status})"),
        _ => reason,
    };
    PluginError::Lost {
        driver: driver.to_owned(),
        during: during.to_owned(),
        reason,
        last: log.last(),
    }
}
