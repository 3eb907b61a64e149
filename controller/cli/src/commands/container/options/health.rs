//! Flags about how it is found out whether a container is well.

use berth_proto::v1::{ContainerConfig, HealthConfig};

use crate::failure::Failure;
use crate::spec::number;
use crate::units::duration;

/// Flags about health.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Health")]
pub(crate) struct HealthOptions {
    /// Command line that says whether the container is well
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,

    /// Time between two checks, such as 30s
    #[arg(long, value_name = "TIME", value_parser = duration::nanos)]
    health_interval: Option<i64>,

    /// Time that a check may take
    #[arg(long, value_name = "TIME", value_parser = duration::nanos)]
    health_timeout: Option<i64>,

    /// Time after the start in which failures do not count
    #[arg(long, value_name = "TIME", value_parser = duration::nanos)]
    health_start_period: Option<i64>,

    /// Time between two checks in the start period
    #[arg(long, value_name = "TIME", value_parser = duration::nanos)]
    health_start_interval: Option<i64>,

    /// Failures in a row that make it unhealthy
    #[arg(long, value_name = "NUMBER", value_parser = number::int)]
    health_retries: Option<i64>,

    /// No checks, whatever the image says
    #[arg(long)]
    no_healthcheck: bool,
}

// === impl HealthOptions ===

impl HealthOptions {
    /// Puts what the flags say where the agent looks for it.
    pub(crate) fn apply(&self, config: &mut ContainerConfig) -> Result<(), Failure> {
        let numbers = [
            ("interval", self.health_interval.unwrap_or(0)),
            ("timeout", self.health_timeout.unwrap_or(0)),
            ("start-period", self.health_start_period.unwrap_or(0)),
            ("start-interval", self.health_start_interval.unwrap_or(0)),
            ("retries", self.health_retries.unwrap_or(0)),
        ];
        let command = self.health_cmd.clone().unwrap_or_default();
        let given = !command.is_empty() || numbers.iter().any(|(_, number)| *number != 0);
        if self.no_healthcheck && given {
            return Err(Failure::new(
                "--no-healthcheck conflicts with --health-* options",
            ));
        }
        if let Some((name, _)) = numbers.iter().find(|(_, number)| *number < 0) {
            return Err(Failure::new(format!("--health-{name} cannot be negative")));
        }
        let [interval, timeout, start_period, start_interval, retries] =
            numbers.map(|(_, number)| number);
        let test = match (self.no_healthcheck, command.is_empty()) {
            (true, _) => vec!["NONE".to_owned()],
            (false, false) => vec!["CMD-SHELL".to_owned(), command],
            (false, true) => Vec::new(),
        };
        if given || self.no_healthcheck {
            config.healthcheck = Some(HealthConfig {
                test,
                interval_nanos: interval,
                timeout_nanos: timeout,
                start_period_nanos: start_period,
                start_interval_nanos: start_interval,
                retries,
            });
        }
        Ok(())
    }
}
