//! Parents of macvlan and ipvlan networks, and taking networks away.

use std::io;

use super::{Host, MARK, SetUpError, step};
use crate::addresses::mac_of;
use crate::definition::{DEFAULT_NETWORK, Definition, Driver};
use crate::firewall::Forward;
use crate::netlink::links::Link;

// === impl Host ===

impl Host {
    /// Finds the interface that containers' interfaces are made on, or makes it.
    pub(super) fn set_up_parent(&mut self, definition: &Definition) -> Result<u32, SetUpError> {
        let name = definition.interface();
        let find = "find the parent interface";
        if let Some(link) = self.find(&name).map_err(step(find))? {
            return Ok(link.index);
        }
        let is_own = match &definition.driver {
            Driver::Macvlan(parent) => parent.interface.is_empty(),
            Driver::Ipvlan(parent) => parent.interface.is_empty(),
            Driver::Bridge(_) => false,
        };
        let mark = format!("{MARK}{}", definition.id);
        if is_own {
            let links = self.links().map_err(step(find))?;
            let made = match links.create_dummy(&name, &mark) {
                // A kernel without such interfaces has bridges, and one without ports leads nowhere.
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    links.create_bridge(&name, mac_of([0, 0, 0, 1].into()), (None, &mark))
                }
                result => result,
            };
            made.map_err(step("create the parent interface"))?;
        } else {
            let missing = || SetUpError::NoSuchParent(name.clone());
            let (base, id) = name.rsplit_once('.').ok_or_else(missing)?;
            let id: u16 = id
                .parse()
                .ok()
                .filter(|id| (1..4095).contains(id))
                .ok_or_else(missing)?;
            let base = self.find(base).map_err(step(find))?.ok_or_else(missing)?;
            let links = self.links().map_err(step(find))?;
            links
                .create_vlan(&name, &mark, (base.index, id))
                .map_err(step("create the VLAN"))?;
        }
        let made = self.find(&name).map_err(step(find))?;
        Ok(made.ok_or(SetUpError::NoSuchParent(name))?.index)
    }

    /// Takes a network away with all that was made for it. `forwards` are those of all containers.
    pub(crate) fn undefine(&mut self, key: &str, forwards: &[Forward]) -> Result<(), SetUpError> {
        let Some(definition) = self.definitions.get(key).cloned() else {
            return Ok(());
        };
        self.remove_interface(&definition)
            .map_err(step("remove the bridge"))?;
        self.definitions.remove(key);
        let was_ready = self.ready.remove(key);
        if self.has_rules() && was_ready.is_some_and(|ready| ready.definition.bridge().is_some()) {
            self.replace_firewall(forwards)?;
        }
        Ok(())
    }

    fn remove_interface(&mut self, definition: &Definition) -> io::Result<()> {
        let Some(link) = self.find(&definition.interface())? else {
            return Ok(());
        };
        if self.is_made_for(&link, definition) {
            self.give_up(&link, &definition.id)?;
        }
        Ok(())
    }

    /// Returns whether an interface was made for a network, and is not somebody else's of that name.
    pub(super) fn is_made_for(&self, link: &Link, definition: &Definition) -> bool {
        if definition.bridge().is_none() {
            return link.alias.starts_with(MARK);
        }
        // The default bridge of agents that gave no alias.
        let is_default = definition.id == DEFAULT_NETWORK && !link.alias.starts_with(MARK);
        let is_marked = link.alias.strip_prefix(MARK) == Some(definition.id.as_str());
        link.is_bridge && (is_marked || is_default)
    }

    /// Removes an interface that a network does not need any more. Another network that found it there
    /// gets it.
    fn give_up(&mut self, link: &Link, key: &str) -> io::Result<()> {
        let mut others = self.definitions.values();
        let heir = others.find(|other| other.id != key && other.interface() == link.name);
        match heir.map(|heir| format!("{MARK}{}", heir.id)) {
            Some(mark) => self.links()?.set_alias(link.index, &mark),
            None => self.links()?.remove(link.index),
        }
    }

    /// Removes interfaces that were made for networks which are not known any more.
    pub(crate) fn remove_strays(&mut self) -> io::Result<()> {
        for link in self.links()?.all()? {
            let Some(id) = link.alias.strip_prefix(MARK) else {
                continue;
            };
            if id != DEFAULT_NETWORK && !self.definitions.contains_key(id) {
                tracing::info!(
                    interface = link.name,
                    "the interface of a network that is gone"
                );
                self.give_up(&link, id)?;
            }
        }
        Ok(())
    }

    /// Refuses a network whose interface is somebody else's.
    pub(crate) fn check_interface(&mut self, definition: &Definition) -> Result<(), SetUpError> {
        let Some(options) = definition.bridge() else {
            return Ok(());
        };
        let name = &options.interface;
        let is_ours = self.definitions.values().any(|other| {
            other.id != definition.id && other.bridge().is_some_and(|b| &b.interface == name)
        });
        let exists = self.find(name).map_err(step("find the bridge"))?.is_some();
        if is_ours || name == &self.default_bridge || exists {
            return Err(SetUpError::InterfaceInUse(name.clone()));
        }
        Ok(())
    }
}
