//! Numbers that look random and can be had again: xorshift64* of a seed that the test prints.

/// A source of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

// === impl Random ===

impl Random {
    /// Starts from a seed; the same one gives the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // A state of nothing but zeros would stay one.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Starts from the seed that an environment variable names, else from the clock; prints it.
    ///
    /// # Panics
    ///
    /// When the variable is no number.
    #[must_use]
    #[expect(
        clippy::print_stderr,
        reason = "whoever repeats a failure needs the seed"
    )]
    pub fn from_environment(variable: &str) -> Self {
        let seed = match std::env::var(variable) {
            Ok(text) => text.parse().expect("a seed is a number"),
            Err(_unset) => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(1, |since| u64::from(since.subsec_nanos())),
        };
        eprintln!("to repeat: {variable}={seed}");
        Self::new(seed)
    }

    /// Returns a number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}
