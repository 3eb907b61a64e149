//! A plugin as a kind of machine.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use berth_provisioners_api::{
    BaseConfig, Driver, DriverError, FlagSpec, FlagValues, Machine, MachineContext,
};
use serde_json::Value;

use crate::error::PluginError;
use crate::flags;
use crate::gob::Body;
use crate::host::{Label, Session, thread};
use crate::lookup::Plugin;
use crate::machine::PluginMachine;

/// The name of the machine of which a driver is only asked for its flags.
const NO_MACHINE: &str = "flag-lookup";

/// A driver in an executable of its own.
#[derive(Debug)]
pub struct PluginDriver {
    plugin: Arc<Plugin>,
    /// What the plugin has declared, which is asked for once.
    specs: OnceLock<Vec<FlagSpec>>,
}

// === impl PluginDriver ===

impl PluginDriver {
    pub(crate) fn of(plugin: Plugin) -> Self {
        Self {
            plugin: Arc::new(plugin),
            specs: OnceLock::new(),
        }
    }
}

#[async_trait]
impl Driver for PluginDriver {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        if let Some(specs) = self.specs.get() {
            return Ok(specs.clone());
        }
        let plugin = Arc::clone(&self.plugin);
        let asked = async move {
            let label = first_label(NO_MACHINE, String::new());
            declared(&Session::open(plugin, label).await?).await
        };
        let specs = thread::block_on(asked).map_err(PluginError::from)??;
        Ok(self.specs.get_or_init(|| specs).clone())
    }

    fn configure(
        &self,
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let root = context.store_root.to_string_lossy().into_owned();
        let label = first_label(&context.name, root);
        let (plugin, given) = (Arc::clone(&self.plugin), flags.clone());
        let configured = async move {
            let name = plugin.name.clone();
            let session = Session::open(plugin, label).await?;
            let specs = declared(&session).await?;
            let options = flags::options(&name, &specs, &given);
            session
                .call("SetConfigFromFlags", Body::Options(options))
                .await?;
            let config = session.config().await?;
            Ok::<_, PluginError>((session, config))
        };
        let (session, config) = thread::block_on(configured).map_err(PluginError::from)??;
        let machine = PluginMachine::new(&self.plugin, context, config);
        Ok(Box::new(machine.with_session(session)))
    }

    fn load(
        &self,
        context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        if !config.is_object() {
            return Err(DriverError::Config {
                machine: context.name.clone(),
                source: "it is no object".into(),
            });
        }
        Ok(Box::new(PluginMachine::new(&self.plugin, context, config)))
    }
}

/// The configuration that a machine begins with.
fn first_label(name: &str, store_path: String) -> Label {
    let config = BaseConfig {
        machine_name: name.to_owned(),
        store_path,
        ..BaseConfig::default()
    };
    Label {
        machine: name.to_owned(),
        config: serde_json::to_value(config).unwrap_or_default(),
    }
}

/// Asks for the flags; for the name, too, since drivers may expect what docker-machine does.
async fn declared(session: &Session) -> Result<Vec<FlagSpec>, PluginError> {
    session.text("DriverName").await?;
    let method = "GetCreateFlags";
    let value = session.call(method, Body::Empty).await?;
    flags::specs(&value).map_err(|what| session.unlike(method, &what))
}
