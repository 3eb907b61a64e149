//! The drivers that a binary was built with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Driver;

/// Drivers by name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    drivers: BTreeMap<String, Arc<dyn Driver>>,
}

impl Registry {
    /// Returns a registry without drivers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a driver; a later one of the same name wins.
    #[must_use]
    pub fn with(mut self, driver: impl Driver + 'static) -> Self {
        self.drivers
            .insert(driver.name().to_owned(), Arc::new(driver));
        self
    }

    /// Returns the driver called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.drivers.get(name).cloned()
    }

    /// Returns all drivers, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Driver>> {
        self.drivers.values()
    }

    /// Returns the names of all drivers, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.drivers.keys().map(String::as_str)
    }
}
