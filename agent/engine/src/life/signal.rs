//! Signals by name and number, real-time ones included.

use std::fmt;

use nix::sys::signal::Signal as Known;

/// A signal's number, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalNumber(i32);

/// The text names no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid signal: {0}")]
pub struct InvalidSignal(pub String);

const RT_MIN: i32 = 34;
const RT_MAX: i32 = 64;

impl SignalNumber {
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGKILL.
    pub const KILL: Self = Self(9);

    /// Reads a name with or without `SIG` in any case, `RTMIN+n`, `RTMAX-n`, or a number.
    ///
    /// # Errors
    /// When the text names no signal.
    pub fn parse(text: &str) -> Result<Self, InvalidSignal> {
        Self::read(text).ok_or_else(|| InvalidSignal(text.to_owned()))
    }

    /// Whether this kernel has the signal.
    #[must_use]
    pub fn is_real(self) -> bool {
        (1..=RT_MAX).contains(&self.0)
    }

    /// Whether people who send it mean the process to end.
    pub(crate) fn asks_to_end(self) -> bool {
        // SIGINT, SIGQUIT, SIGKILL, SIGTERM
        [2, 3, 9, 15].contains(&self.0)
    }

    /// Returns the number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    fn read(text: &str) -> Option<Self> {
        // As Docker's: a number that no kernel knows is refused by the one that is to send it.
        if let Ok(number) = text.parse::<i32>() {
            return (number != 0).then_some(Self(number));
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            RT_MIN + offset(rest, '+')?
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            RT_MAX - offset(rest, '-')?
        } else {
            let known = match name {
                "CLD" => "CHLD",
                "IOT" => "ABRT",
                "POLL" => "IO",
                name => name,
            };
            format!("SIG{known}").parse::<Known>().ok()? as i32
        };
        // Below the real-time range only names that nix knows get here, and `RTMAX-50` must not.
        let is_named = number < RT_MIN && !name.starts_with("RT");
        (is_named || (RT_MIN..=RT_MAX).contains(&number)).then_some(Self(number))
    }
}

fn offset(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        Some(0)
    } else {
        text.strip_prefix(sign)?.parse().ok()
    }
}

impl fmt::Display for SignalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Known::try_from(self.0) {
            Ok(known) => f.write_str(known.as_str()),
            Err(_) => write!(f, "SIGRTMIN+{}", self.0 - RT_MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_understood() {
        for (text, number) in [
            ("TERM", 15),
            ("sigkill", 9),
            ("1", 1),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("RTMIN", 34),
            ("CLD", 17),
        ] {
            assert_eq!(
                SignalNumber::parse(text).map(SignalNumber::number),
                Ok(number),
                "{text}"
            );
        }
    }

    #[test]
    fn all_recorded_signals_read_as_the_original_does() {
        for vector in crate::vectors::vectors("signals.json") {
            let input = vector["input"].as_str().expect("input");
            match SignalNumber::parse(input) {
                Ok(signal) => assert_eq!(signal.number(), vector["signal"], "{input}"),
                Err(error) => assert_eq!(error.to_string(), vector["error"], "{input}"),
            }
        }
        assert!(!SignalNumber(-1).is_real());
        assert!(!SignalNumber(65).is_real());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "0", "FOO", "RTMIN+99", "RTMAX-50", "SIG"] {
            assert_eq!(
                SignalNumber::parse(text),
                Err(InvalidSignal(text.to_owned()))
            );
        }
    }
}
