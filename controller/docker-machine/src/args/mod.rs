//! The original's command lines: Go's flags, and what its command library made of them.

mod flag;
mod parse;

pub(crate) use flag::Flag;
pub(crate) use parse::{Parsed, parse, parse_bool, permuted};

#[cfg(test)]
mod tests;
