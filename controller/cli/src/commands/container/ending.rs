//! How containers are asked to end: what `stop` and `restart` have in common.

use crate::spec::number;

/// Which containers, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Ending {
    /// Signal instead of the container's own
    #[arg(long, short, value_name = "SIGNAL")]
    pub(super) signal: Option<String>,

    /// Seconds to wait before it is killed; -1 to wait for ever
    #[arg(long, short, alias = "time", value_name = "SECONDS", value_parser = number::int)]
    pub(super) timeout: Option<i64>,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    pub(super) containers: Vec<String>,
}
