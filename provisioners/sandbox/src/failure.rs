//! Shorthand for saying what was being done when something failed.

use std::error::Error;

use berth_provisioners_api::DriverError;

/// Adds to an error what was being done.
pub(crate) trait Doing<T> {
    /// Turns the error into a [`DriverError`] that says `action` failed.
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, DriverError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, DriverError> {
        self.map_err(|source| DriverError::failed(action(), source))
    }
}

/// Returns an error's text followed by those of its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
