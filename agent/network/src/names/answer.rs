//! Writing answers.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use simple_dns::rdata::{A, AAAA, PTR, RData};
use simple_dns::{
    CLASS, Label, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE,
};

use super::question::{HEADER, Question};
use super::zone::Known;

/// How long an answer may be remembered, in seconds: Docker's.
const TIME_TO_LIVE: u32 = 600;

/// Most addresses of one answer; a name that more containers share is answered by some of them.
const MOST: usize = 1000;

/// Returns the answer to a question about somebody who is known. `turn` decides who comes first, and
/// goes on only where there is a choice: resolvers ask for both families in turn, and a question
/// without an answer must not take the other's. `room` is how many bytes the answer may have.
pub(super) fn known(
    question: &Question<'_>,
    known: &Known,
    turn: &AtomicUsize,
    room: usize,
) -> Option<Vec<u8>> {
    let mut records = Vec::new();
    match known {
        Known::Addresses(addresses) => {
            let wanted = addresses
                .iter()
                .filter(|address| is_asked(question.kind, **address));
            records.extend(wanted.map(|address| data(*address)));
            if records.len() > 1 {
                let first = turn.fetch_add(1, Ordering::Relaxed) % records.len();
                records.rotate_left(first);
            }
            records.truncate(MOST);
        }
        Known::Name(name) if matches!(question.kind, PTR_KIND | ANY_KIND) => {
            records.push(RData::PTR(PTR(Name::new(name).ok()?)));
        }
        Known::Name(_) => {}
    }
    loop {
        let n_records = records.len();
        let bytes = build(question, RCODE::NoError, &records, false)?;
        if bytes.len() <= room {
            return Some(bytes);
        }
        // The asker comes back over TCP for the rest.
        records.truncate(n_records / 2);
        let bytes = build(question, RCODE::NoError, &records, true)?;
        if bytes.len() <= room || records.is_empty() {
            return Some(bytes);
        }
    }
}

/// Returns an answer that says that there is none.
pub(super) fn failure(question: &Question<'_>) -> Option<Vec<u8>> {
    build(question, RCODE::ServerFailure, &[], false)
}

/// Returns the answer to what is no question.
pub(super) fn refusal(message: &[u8]) -> Option<Vec<u8>> {
    const RESPONSE: u8 = 0x80;
    const FORMAT_ERROR: u8 = 1;
    let header: &[u8; HEADER] = message.first_chunk()?;
    let mut answer = vec![0; HEADER];
    answer[..2].copy_from_slice(&header[..2]);
    answer[2] = header[2] | RESPONSE;
    answer[3] = FORMAT_ERROR;
    Some(answer)
}

const PTR_KIND: u16 = 12;
const ANY_KIND: u16 = 255;

fn is_asked(kind: u16, address: IpAddr) -> bool {
    let own = if address.is_ipv4() { 1 } else { 28 };
    kind == own || kind == ANY_KIND
}

fn data(address: IpAddr) -> RData<'static> {
    match address {
        IpAddr::V4(v4) => RData::A(A {
            address: v4.to_bits(),
        }),
        IpAddr::V6(v6) => RData::AAAA(AAAA {
            address: v6.to_bits(),
        }),
    }
}

fn build(
    question: &Question<'_>,
    code: RCODE,
    records: &[RData<'_>],
    cut: bool,
) -> Option<Vec<u8>> {
    let mut packet = Packet::new_reply(question.id);
    packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if question.recursion_desired {
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    if cut {
        packet.set_flags(PacketFlag::TRUNCATION);
    }
    *packet.rcode_mut() = code;
    let labels = question.labels.iter().map(|label| Label::new(*label));
    let labels: Vec<Label<'_>> = labels.collect::<Result<_, _>>().ok()?;
    let name = Name::new_with_labels(&labels);
    let kind = match question.kind {
        ANY_KIND => QTYPE::ANY,
        kind => QTYPE::TYPE(TYPE::from(kind)),
    };
    let class = QCLASS::try_from(question.class).ok()?;
    packet
        .questions
        .push(simple_dns::Question::new(name.clone(), kind, class, false));
    let record = |data: &RData<'_>| {
        ResourceRecord::new(name.clone(), CLASS::IN, TIME_TO_LIVE, data.clone()).into_owned()
    };
    packet.answers = records.iter().map(record).collect();
    packet.build_bytes_vec_compressed().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(9);
        let name = Name::new(name).unwrap();
        packet.questions.push(simple_dns::Question::new(
            name,
            kind.into(),
            CLASS::IN.into(),
            false,
        ));
        packet.build_bytes_vec().unwrap()
    }

    fn answers(bytes: &[u8]) -> Vec<RData<'static>> {
        let packet = Packet::parse(bytes).unwrap();
        assert!(packet.has_flags(PacketFlag::RESPONSE));
        assert_eq!(
            (packet.id(), packet.rcode(), packet.questions.len()),
            (9, RCODE::NoError, 1)
        );
        packet
            .answers
            .into_iter()
            .map(|record| record.rdata.into_owned())
            .collect()
    }

    #[test]
    fn addresses_take_turns_and_families_are_kept_apart() {
        let known_as = Known::Addresses(vec![
            [10, 0, 0, 2].into(),
            [10, 0, 0, 3].into(),
            "fd00::2".parse().unwrap(),
        ]);
        let turn = AtomicUsize::new(0);
        // As resolvers do: for both families, one after the other.
        let first = || {
            let asked = question("db", TYPE::A);
            let asked = Question::parse(&asked).unwrap();
            let found = answers(&known(&asked, &known_as, &turn, 512).unwrap());
            let sixth = question("db", TYPE::AAAA);
            let sixth = Question::parse(&sixth).unwrap();
            assert_eq!(
                answers(&known(&sixth, &known_as, &turn, 512).unwrap()).len(),
                1
            );
            match found[..] {
                [RData::A(A { address }), RData::A(_)] => address & 0xff,
                _ => 0,
            }
        };
        assert_eq!((first(), first(), first()), (2, 3, 2));
        let asked = question("db", TYPE::MX);
        let none = known(&Question::parse(&asked).unwrap(), &known_as, &turn, 512).unwrap();
        assert_eq!(answers(&none).len(), 0);
        let asked = question("2.0.0.10.in-addr.arpa", TYPE::PTR);
        let name = known(
            &Question::parse(&asked).unwrap(),
            &Known::Name("db.net".to_owned()),
            &turn,
            512,
        );
        assert_eq!(
            answers(&name.unwrap()),
            [RData::PTR(PTR(Name::new("db.net").unwrap()))]
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let all = (0..200).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let asked = question("db", TYPE::A);
        let asked = Question::parse(&asked).unwrap();
        let cut = known(&asked, &Known::Addresses(all), &AtomicUsize::new(0), 512).unwrap();
        assert!(cut.len() <= 512);
        let packet = Packet::parse(&cut).unwrap();
        assert!(packet.has_flags(PacketFlag::TRUNCATION) && !packet.answers.is_empty());
    }

    #[test]
    fn nonsense_is_refused_under_its_number() {
        let answer = refusal(&[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99]).unwrap();
        let packet = Packet::parse(&answer).unwrap();
        assert_eq!((packet.id(), packet.rcode()), (0x0102, RCODE::FormatError));
        assert_eq!(refusal(&[1]), None);
    }
}
