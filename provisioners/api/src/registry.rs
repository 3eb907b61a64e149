//! The drivers that a binary was built with, and a way to those that it was not built with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::Driver;

/// Finds a driver that is not built in, by its name.
pub type Fallback = Arc<dyn Fn(&str) -> Option<Arc<dyn Driver>> + Send + Sync>;

/// Drivers by name.
#[derive(Clone, Default)]
pub struct Registry {
    drivers: BTreeMap<String, Arc<dyn Driver>>,
    fallback: Option<Fallback>,
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

    /// Asks `fallback` for drivers that were not added.
    #[must_use]
    pub fn with_fallback(mut self, fallback: Fallback) -> Self {
        self.fallback = Some(fallback);
        self
    }

    /// Returns the driver called `name`: the one that was added, else what the fallback finds.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn Driver>> {
        let known = self.drivers.get(name).cloned();
        known.or_else(|| self.fallback.as_ref().and_then(|find| find(name)))
    }

    /// Returns the drivers that were added, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Driver>> {
        self.drivers.values()
    }

    /// Returns the names of the drivers that were added, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.drivers.keys().map(String::as_str)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Registry")
            .field("drivers", &self.drivers)
            .field("fallback", &self.fallback.is_some())
            .finish()
    }
}
