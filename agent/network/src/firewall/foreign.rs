//! Docker's firewall, when there is a Docker on the machine: it drops what is forwarded and is not its
//! own. The chain that it leaves to others is told of our bridges, in rules that `iptables` can show.

use std::collections::BTreeSet;
use std::io;

use super::expression::Meta;
use super::table::{Step, Table};
use crate::netlink::{Socket, attributes};

/// Docker's table, and the chain in it that is not Docker's.
const DOCKER: Table = Table {
    is_ipv4: true,
    name: "filter",
};
const CHAIN: &str = "DOCKER-USER";

/// Begins the comments of our rules.
const COMMENT: &str = "berth ";

/// Attributes of a rule in the kernel's answers.
const HANDLE: u16 = 3;
const USER_DATA: u16 = 7;

/// The length of the header that these begin with.
const HEADER: usize = 4;

/// A rule of ours.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Own {
    comment: String,
    handle: Vec<u8>,
}

/// Returns the steps after which Docker's firewall lets the packets of these bridges pass, but not to
/// bridges of others; nothing when it does, or when there is none.
pub(super) fn steps(
    socket: &mut Socket,
    bridges: &[String],
    others: &[String],
) -> io::Result<Vec<Step>> {
    let Some(own) = own_rules(socket)? else {
        return Ok(Vec::new());
    };
    let wanted: BTreeSet<String> = bridges
        .iter()
        .map(|bridge| comment(bridge, others))
        .collect();
    let known: BTreeSet<String> = own.iter().map(|rule| rule.comment.clone()).collect();
    // Each bridge has two rules with one comment.
    if wanted == known && own.len() == 2 * wanted.len() {
        return Ok(Vec::new());
    }
    let name = "tell Docker's firewall of the bridges";
    let mut steps: Vec<Step> = own
        .iter()
        .map(|rule| DOCKER.remove_rule(name, CHAIN, &rule.handle))
        .collect();
    for bridge in bridges {
        let comment = comment(bridge, others);
        steps.push(DOCKER.insert_rule(name, CHAIN, &comment, |program| {
            program.interface(Meta::InputInterface, bridge, true);
            for other in others {
                program.interface(Meta::OutputInterface, other, false);
            }
            program.accept();
        }));
        // What may enter is decided by our own table, which sees the packet too.
        steps.push(DOCKER.insert_rule(name, CHAIN, &comment, |program| {
            program
                .interface(Meta::OutputInterface, bridge, true)
                .accept();
        }));
    }
    Ok(steps)
}

/// Says for whom a rule is, and what it was made of, so that a change is noticed.
fn comment(bridge: &str, others: &[String]) -> String {
    let hash = others.iter().flat_map(|other| other.bytes().chain([0]));
    let hash = hash.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{COMMENT}{bridge} {hash:08x}")
}

/// Whether there is a chain for others.
pub(super) fn exists(socket: &mut Socket) -> bool {
    let found = socket.query(DOCKER.find_chain(CHAIN));
    found.is_ok_and(|found| found.is_some())
}

/// Returns our rules; nothing when there is no such chain.
fn own_rules(socket: &mut Socket) -> io::Result<Option<Vec<Own>>> {
    if !exists(socket) {
        return Ok(None);
    }
    let rules = socket.dump(DOCKER.list_rules(CHAIN))?;
    let own = rules.iter().filter_map(|rule| {
        let rest = rule.get(HEADER..)?;
        let find = |wanted| {
            attributes(rest)
                .find_map(|(kind, value): (u16, &[u8])| (kind == wanted).then_some(value))
        };
        let text = String::from_utf8_lossy(find(USER_DATA)?).into_owned();
        let at = text.find(COMMENT)?;
        Some(Own {
            comment: text[at..].trim_end_matches('\0').to_owned(),
            handle: find(HANDLE)?.to_vec(),
        })
    });
    Ok(Some(own.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_tell_apart_what_rules_were_made_of() {
        let none = comment("berth0", &[]);
        assert!(none.starts_with("berth berth0 "));
        assert_ne!(none, comment("berth0", &["docker0".to_owned()]));
        assert_eq!(none, comment("berth0", &[]));
    }
}
