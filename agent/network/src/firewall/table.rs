//! Messages about one table: its chains, sets, maps and rules.

use super::Forward;
use super::expression::{Program, address_and_port, octets, value};
use crate::netlink::Message;
use crate::netlink::message::flag;

/// One message of a change, with words for what it does.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) message: Message,
}

/// A table of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) is_ipv4: bool,
    pub(super) name: &'static str,
}

/// A chain at one place of a packet's way.
pub(super) struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: i32,
    priority: i32,
}

/// The name of our own tables.
pub(super) const NAME: &str = "berth";

/// How many elements go into one message, whose list must stay below 64 KiB.
const ELEMENTS: usize = 256;

/// Attribute numbers that tables, chains, rules, maps and elements share.
const OF_TABLE: u16 = 1;
const OWN_NAME: u16 = 2;

/// The chains in the order of the packet's way.
pub(super) const CHAINS: [Chain; 5] = [
    Chain {
        name: "guard",
        kind: "filter",
        hook: libc::NF_INET_PRE_ROUTING,
        priority: libc::NF_IP_PRI_RAW,
    },
    Chain {
        name: "inbound",
        kind: "nat",
        hook: libc::NF_INET_PRE_ROUTING,
        priority: libc::NF_IP_PRI_NAT_DST,
    },
    Chain {
        name: "local",
        kind: "nat",
        hook: libc::NF_INET_LOCAL_OUT,
        priority: libc::NF_IP_PRI_NAT_DST,
    },
    Chain {
        name: "entry",
        kind: "filter",
        hook: libc::NF_INET_FORWARD,
        priority: libc::NF_IP_PRI_FILTER,
    },
    Chain {
        name: "outbound",
        kind: "nat",
        hook: libc::NF_INET_POST_ROUTING,
        priority: libc::NF_IP_PRI_NAT_SRC,
    },
];

// === impl Table ===

impl Table {
    pub(super) fn find(self) -> Message {
        let mut message = self.message(libc::NFT_MSG_GETTABLE, 0);
        message.text(OF_TABLE, self.name);
        message
    }

    pub(super) fn find_or_create(self) -> Step {
        self.own("find the firewall's table", libc::NFT_MSG_NEWTABLE)
    }

    pub(super) fn remove(self) -> Step {
        self.own("clear the firewall's table", libc::NFT_MSG_DELTABLE)
    }

    pub(super) fn create(self) -> Step {
        self.own("create the firewall's table", libc::NFT_MSG_NEWTABLE)
    }

    fn own(self, name: &'static str, kind: i32) -> Step {
        let creating = kind == libc::NFT_MSG_NEWTABLE;
        let mut message = self.message(kind, if creating { libc::NLM_F_CREATE } else { 0 });
        message.text(OF_TABLE, self.name);
        Step { name, message }
    }

    pub(super) fn chain(self, chain: &Chain) -> Step {
        const HOOK: u16 = 4;
        const KIND: u16 = 7;
        const CHAIN_NAME: u16 = 3;
        let mut message = self.message(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE);
        message
            .text(OF_TABLE, self.name)
            .text(CHAIN_NAME, chain.name)
            .nested(HOOK, |hook| {
                hook.be32(1, chain.hook.cast_unsigned())
                    .be32(2, chain.priority.cast_unsigned());
            })
            .text(KIND, chain.kind);
        Step {
            name: "add the firewall's chains",
            message,
        }
    }

    /// A map from keys of these types and bytes to values of these.
    pub(super) fn map(
        self,
        name: &str,
        id: u32,
        key: (&[u32], u32),
        (data, data_length): (&[u32], u32),
    ) -> Step {
        const DATA_TYPE: u16 = 6;
        const DATA_LENGTH: u16 = 7;
        const FLAG_MAP: u32 = 0x8;
        let mut step = self.collection(name, id, key, FLAG_MAP);
        step.message
            .be32(DATA_TYPE, concatenated(data))
            .be32(DATA_LENGTH, data_length);
        step
    }

    /// A set of keys of these types and bytes.
    pub(super) fn set(self, name: &str, id: u32, types: &[u32], length: u32) -> Step {
        self.collection(name, id, (types, length), 0)
    }

    fn collection(self, name: &str, id: u32, (types, length): (&[u32], u32), flags: u32) -> Step {
        const FLAGS: u16 = 3;
        const KEY_TYPE: u16 = 4;
        const KEY_LENGTH: u16 = 5;
        const ID: u16 = 10;
        let mut message = self.message(libc::NFT_MSG_NEWSET, libc::NLM_F_CREATE);
        message
            .text(OF_TABLE, self.name)
            .text(OWN_NAME, name)
            .be32(FLAGS, flags)
            .be32(KEY_TYPE, concatenated(types))
            .be32(KEY_LENGTH, length)
            .be32(ID, id);
        Step {
            name: "add the firewall's maps",
            message,
        }
    }

    pub(super) fn rule(
        self,
        name: &'static str,
        chain: &str,
        program: impl FnOnce(&mut Program<'_>),
    ) -> Step {
        const EXPRESSIONS: u16 = 4;
        let mut message = self.message(
            libc::NFT_MSG_NEWRULE,
            libc::NLM_F_CREATE | libc::NLM_F_APPEND,
        );
        message
            .text(OF_TABLE, self.name)
            .text(OWN_NAME, chain)
            .nested(EXPRESSIONS, |list| {
                program(&mut Program::new(list, self.is_ipv4));
            });
        Step { name, message }
    }

    /// A rule before all others of a chain, with a comment.
    pub(super) fn insert_rule(
        self,
        name: &'static str,
        chain: &str,
        comment: &str,
        program: impl FnOnce(&mut Program<'_>),
    ) -> Step {
        const EXPRESSIONS: u16 = 4;
        const USER_DATA: u16 = 7;
        const COMMENT: u8 = 0;
        let mut message = self.message(libc::NFT_MSG_NEWRULE, libc::NLM_F_CREATE);
        let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
        let mut data = vec![COMMENT, length];
        data.extend(comment.as_bytes());
        data.push(0);
        message
            .text(OF_TABLE, self.name)
            .text(OWN_NAME, chain)
            .nested(EXPRESSIONS, |list| {
                program(&mut Program::new(list, self.is_ipv4));
            })
            .attribute(USER_DATA, &data);
        Step { name, message }
    }

    /// `handle` is as the kernel gave it.
    pub(super) fn remove_rule(self, name: &'static str, chain: &str, handle: &[u8]) -> Step {
        const HANDLE: u16 = 3;
        let mut message = self.message(libc::NFT_MSG_DELRULE, 0);
        message
            .text(OF_TABLE, self.name)
            .text(OWN_NAME, chain)
            .attribute(HANDLE, handle);
        Step { name, message }
    }

    pub(super) fn find_chain(self, chain: &str) -> Message {
        const CHAIN_NAME: u16 = 3;
        let mut message = self.message(libc::NFT_MSG_GETCHAIN, 0);
        message.text(OF_TABLE, self.name).text(CHAIN_NAME, chain);
        message
    }

    pub(super) fn list_rules(self, chain: &str) -> Message {
        let mut message = self.message(libc::NFT_MSG_GETRULE, 0);
        message.text(OF_TABLE, self.name).text(OWN_NAME, chain);
        message
    }

    pub(super) fn add_members(
        self,
        name: &'static str,
        set: &str,
        members: &[Vec<u8>],
    ) -> Vec<Step> {
        let pairs: Vec<_> = members.iter().map(|key| (key.clone(), None)).collect();
        self.elements(name, set, &pairs, true)
    }

    pub(super) fn change_forwards(
        self,
        map: &str,
        forwards: &[Forward],
        adding: bool,
    ) -> Vec<Step> {
        let name = if adding {
            "add published ports"
        } else {
            "remove published ports"
        };
        let pair = |forward: &Forward| {
            let target = address_and_port(forward.container_ip, forward.container_port);
            (key(forward), adding.then_some(target))
        };
        let pairs: Vec<_> = forwards.iter().map(pair).collect();
        self.elements(name, map, &pairs, adding)
    }

    fn elements(
        self,
        name: &'static str,
        set: &str,
        pairs: &[(Vec<u8>, Option<Vec<u8>>)],
        adding: bool,
    ) -> Vec<Step> {
        let messages = pairs.chunks(ELEMENTS).map(|pairs| Step {
            name,
            message: self.elements_message(set, pairs, adding),
        });
        messages.collect()
    }

    fn elements_message(
        self,
        set: &str,
        pairs: &[(Vec<u8>, Option<Vec<u8>>)],
        adding: bool,
    ) -> Message {
        const ELEMENTS_LIST: u16 = 3;
        const ELEMENT: u16 = 1;
        const KEY: u16 = 1;
        const DATA: u16 = 2;
        let (kind, flags) = if adding {
            (
                libc::NFT_MSG_NEWSETELEM,
                libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            )
        } else {
            (libc::NFT_MSG_DELSETELEM, 0)
        };
        let mut message = self.message(kind, flags);
        message
            .text(OF_TABLE, self.name)
            .text(OWN_NAME, set)
            .nested(ELEMENTS_LIST, |list| {
                for (key, data) in pairs {
                    list.nested(ELEMENT, |element| {
                        value(element, KEY, key);
                        if let Some(data) = data {
                            value(element, DATA, data);
                        }
                    });
                }
            });
        message
    }

    fn message(self, kind: i32, flags: i32) -> Message {
        let family = if self.is_ipv4 {
            libc::NFPROTO_IPV4
        } else {
            libc::NFPROTO_IPV6
        };
        // Version and resource id are zero.
        let family_header = [flag(family).to_le_bytes()[0], 0, 0, 0];
        Message::new(
            flag(libc::NFNL_SUBSYS_NFTABLES << 8 | kind),
            flag(flags),
            &family_header,
        )
    }
}

fn concatenated(types: &[u32]) -> u32 {
    types.iter().fold(0, |all, one| all << 6 | one)
}

fn key(forward: &Forward) -> Vec<u8> {
    let [high, low] = forward.host_port.to_be_bytes();
    let mut key = vec![forward.protocol.number(), 0, 0, 0];
    if !forward.host_ip.is_unspecified() {
        key.extend(octets(forward.host_ip));
    }
    key.extend([high, low, 0, 0]);
    key
}

/// Returns the name of an interface as the kernel compares it.
pub(super) fn ifname(name: &str) -> Vec<u8> {
    let mut padded = name.as_bytes().to_vec();
    padded.resize(libc::IFNAMSIZ, 0);
    padded
}
