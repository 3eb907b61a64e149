//! Detach keys: reads `ctrl-p,ctrl-q` and finds the sequence in what a client types.

/// What a client typed, split by the detach keys.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    /// Bytes for the container, including keys that only began to look like the sequence.
    pub pass_on: Vec<u8>,
    /// Whether the whole sequence was typed; what follows it is dropped.
    pub detach: bool,
}

/// The keys do not form a sequence.
#[derive(Debug, thiserror::Error)]
#[error("Invalid detach keys ({keys}) provided")]
pub struct InvalidDetachKeys {
    keys: String,
}

/// Looks for the detach sequence over any number of chunks of input.
#[derive(Clone, Debug)]
pub struct DetachKeys {
    sequence: Vec<u8>,
    n_matched: usize,
}

impl DetachKeys {
    /// The sequence when none is asked for.
    pub const DEFAULT: &'static str = "ctrl-p,ctrl-q";

    /// Reads comma-separated keys: a character, or `ctrl-` and one of `a`–`z @ [ \ ] ^ _`. Empty
    /// means [`Self::DEFAULT`].
    ///
    /// # Errors
    /// When a key is neither.
    pub fn parse(keys: &str) -> Result<Self, InvalidDetachKeys> {
        let text = if keys.is_empty() { Self::DEFAULT } else { keys };
        let sequence = text
            .split(',')
            .map(key)
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| InvalidDetachKeys {
                keys: keys.to_owned(),
            })?;
        Ok(Self {
            sequence,
            n_matched: 0,
        })
    }

    /// Takes the next bytes that were typed. Keys that may still become the sequence are held back
    /// until it is certain that they do not.
    pub fn feed(&mut self, bytes: &[u8]) -> Typed {
        let mut pass_on = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.advance(byte, &mut pass_on);
            if self.n_matched == self.sequence.len() {
                self.n_matched = 0;
                return Typed {
                    pass_on,
                    detach: true,
                };
            }
        }
        Typed {
            pass_on,
            detach: false,
        }
    }

    fn advance(&mut self, byte: u8, pass_on: &mut Vec<u8>) {
        // On a mismatch the longest tail of what was held that still begins the sequence is kept.
        while self.sequence[self.n_matched] != byte {
            if self.n_matched == 0 {
                pass_on.push(byte);
                return;
            }
            let held = &self.sequence[..self.n_matched];
            let keep = (0..self.n_matched)
                .rev()
                .find(|&n| held.ends_with(&self.sequence[..n]))
                .unwrap_or(0);
            pass_on.extend_from_slice(&held[..self.n_matched - keep]);
            self.n_matched = keep;
        }
        self.n_matched += 1;
    }
}

fn key(text: &str) -> Option<u8> {
    if let [single] = text.as_bytes() {
        return Some(*single);
    }
    let [control] = text.strip_prefix("ctrl-")?.as_bytes() else {
        return None;
    };
    match control {
        b'a'..=b'z' => Some(control - b'a' + 1),
        b'@' => Some(0),
        b'[' => Some(27),
        b'\\' => Some(28),
        b']' => Some(29),
        b'^' => Some(30),
        b'_' => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed_all(keys: &str, chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut parser = DetachKeys::parse(keys).expect("valid keys");
        let mut passed = Vec::new();
        for chunk in chunks {
            let typed = parser.feed(chunk);
            passed.extend(typed.pass_on);
            if typed.detach {
                return (passed, true);
            }
        }
        (passed, false)
    }

    #[test]
    fn the_default_sequence_detaches_even_when_split() {
        assert_eq!(
            feed_all("", &[b"ls\n\x10", b"\x11rest"]),
            (b"ls\n".to_vec(), true)
        );
    }

    #[test]
    fn a_broken_sequence_is_passed_on_in_order() {
        assert_eq!(
            feed_all("", &[b"\x10", b"x\x10\x10y"]),
            (b"\x10x\x10\x10y".to_vec(), false)
        );
    }

    #[test]
    fn a_repeated_first_key_does_not_hide_the_sequence() {
        assert_eq!(feed_all("a,a,b", &[b"aaab"]), (b"a".to_vec(), true));
    }

    #[test]
    fn nonsense_keys_are_refused() {
        for keys in ["ctrl-1", "ctrl-", "abc", "a,,b"] {
            assert!(DetachKeys::parse(keys).is_err(), "{keys}");
        }
    }

    proptest! {
        #[test]
        fn detaches_exactly_when_the_sequence_occurs(input in proptest::collection::vec(0_u8..3, 0..40)) {
            let sequence = [1_u8, 1, 2];
            let mut parser = DetachKeys { sequence: sequence.to_vec(), n_matched: 0 };
            let typed = parser.feed(&input);
            let at = input.windows(3).position(|w| w == sequence);
            prop_assert_eq!(typed.detach, at.is_some());
            match at {
                Some(at) => prop_assert_eq!(&typed.pass_on[..], &input[..at]),
                None => prop_assert!(input.starts_with(&typed.pass_on)),
            }
        }
    }
}
