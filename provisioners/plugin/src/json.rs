//! Configurations as they travel between plugins and their hosts.

use berth_provisioners_api::numbers;
use serde_json::Value;

/// Reads a configuration that came from the other side; numbers keep all their digits.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&numbers::keep(&String::from_utf8_lossy(bytes)))
}

/// Writes a configuration for the other side.
pub(crate) fn write(config: &Value) -> Vec<u8> {
    numbers::restore(config.to_string().into_bytes())
}
