//! Flags about where the output is kept.

use berth_proto::v1::{HostConfig, LogConfig};

use crate::failure::Failure;
use crate::spec::map;

/// Flags about the log.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogOptions {
    /// json-file, local or none
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,

    /// Option of the log, such as max-size=10m or max-file=3
    #[arg(long, value_name = "NAME=VALUE")]
    log_opt: Vec<String>,
}

// === impl LogOptions ===

impl LogOptions {
    /// Puts what the flags say where the agent looks for it.
    pub(crate) fn apply(&self, host: &mut HostConfig) -> Result<(), Failure> {
        let driver = self.log_driver.clone().unwrap_or_default();
        if driver == "none" && !self.log_opt.is_empty() {
            return Err(Failure::new("invalid logging opts for driver none"));
        }
        if !driver.is_empty() || !self.log_opt.is_empty() {
            host.log = Some(LogConfig {
                driver,
                options: map::pairs(&self.log_opt).collect(),
            });
        }
        Ok(())
    }
}
