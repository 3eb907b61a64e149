//! Reading questions. What comes from a container may be anything; nothing of it is trusted, and
//! nothing is made as large as it claims to be.

/// The first question of a message, the only one that anybody asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    pub(super) id: u16,
    pub(super) recursion_desired: bool,
    pub(super) labels: Vec<&'a [u8]>,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// The question as it was sent.
    pub(super) raw: &'a [u8],
}

/// A message that is no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It is an answer or too short to be answered.
    Ignored,
    /// It makes no sense.
    Refused,
}

/// Length of a message's header.
pub(super) const HEADER: usize = 12;

const RESPONSE: u8 = 0x80;
const OPERATION: u8 = 0x78;
const RECURSION_DESIRED: u8 = 0x01;

/// Longest name in bytes.
const LONGEST: usize = 255;

// === impl Question ===

impl<'a> Question<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let header: &[u8; HEADER] = message.first_chunk().ok_or(Malformed::Ignored)?;
        if header[2] & RESPONSE != 0 {
            return Err(Malformed::Ignored);
        }
        let n_questions = u16::from_be_bytes([header[4], header[5]]);
        if header[2] & OPERATION != 0 || n_questions != 1 {
            return Err(Malformed::Refused);
        }
        let body = message.get(HEADER..).unwrap_or_default();
        let (labels, length) = labels(body).ok_or(Malformed::Refused)?;
        let end = length + 4;
        let raw = body.get(..end).ok_or(Malformed::Refused)?;
        let number = |at: usize| u16::from_be_bytes([raw[at], raw[at + 1]]);
        Ok(Self {
            id: u16::from_be_bytes([header[0], header[1]]),
            recursion_desired: header[2] & RECURSION_DESIRED != 0,
            labels,
            kind: number(length),
            class: number(length + 2),
            raw,
        })
    }

    /// Returns the name in small letters, without a dot at its end.
    pub(super) fn name(&self) -> String {
        let labels = self
            .labels
            .iter()
            .map(|label| String::from_utf8_lossy(label).to_lowercase());
        labels.collect::<Vec<_>>().join(".")
    }
}

/// Returns the labels of a name and how many bytes it takes; a first question has no back-references.
fn labels(bytes: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let mut labels = Vec::new();
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        if length == 0 {
            return Some((labels, at + 1));
        }
        let end = at + 1 + length;
        if length > 63 || end > LONGEST {
            return None;
        }
        labels.push(bytes.get(at + 1..end)?);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::{CLASS, Name, Packet, TYPE};

    use super::*;

    #[test]
    fn a_question_reads_as_it_was_written() {
        let mut packet = Packet::new_query(7);
        packet.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
        let name = Name::new("Web.Example").unwrap();
        let asked = simple_dns::Question::new(name, TYPE::AAAA.into(), CLASS::IN.into(), false);
        packet.questions.push(asked);
        let bytes = packet.build_bytes_vec().unwrap();
        let question = Question::parse(&bytes).unwrap();
        assert_eq!((question.id, question.kind, question.class), (7, 28, 1));
        assert!(question.recursion_desired);
        assert_eq!(question.name(), "web.example");
        assert_eq!(question.raw, &bytes[HEADER..]);
    }

    #[test]
    fn answers_and_nonsense_are_told_apart() {
        assert_eq!(Question::parse(&[0; 11]), Err(Malformed::Ignored));
        let mut message = vec![0; 12];
        message[2] = RESPONSE;
        assert_eq!(Question::parse(&message), Err(Malformed::Ignored));
        message[2] = 0;
        assert_eq!(Question::parse(&message), Err(Malformed::Refused));
        // A name that refers to itself.
        message[5] = 1;
        message.extend([0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(Question::parse(&message), Err(Malformed::Refused));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>, first in proptest::bool::ANY) {
            let mut message = bytes;
            if first && message.len() > 5 {
                message[2] = 0;
                message[4..6].copy_from_slice(&[0, 1]);
            }
            if let Ok(question) = Question::parse(&message) {
                prop_assert!(question.raw.len() <= message.len());
                prop_assert!(question.name().len() <= 3 * 255);
            }
        }
    }
}
