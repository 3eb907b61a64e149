//! `--gpus` and its like: devices that drivers choose.

use super::InvalidOption;
use crate::options::DriverDevices;

/// There is no driver here that could choose, as on a Docker host without one.
pub(super) fn check(requests: &[DriverDevices]) -> Result<(), InvalidOption> {
    let Some(request) = requests.first() else {
        return Ok(());
    };
    Err(InvalidOption::DeviceDriver {
        driver: request.driver.clone(),
        capabilities: format!("[[{}]]", request.capabilities.join(" ")),
    })
}
