//! Sizes and spans of time as Docker writes and reads them.

pub(crate) mod duration;
pub(crate) mod moment;
pub(crate) mod size;

#[cfg(test)]
mod tests;
