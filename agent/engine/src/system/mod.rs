//! What everything on the machine costs.

mod disk_usage;

pub use disk_usage::{DiskUsage, DiskUsageError, ImageUsage};
