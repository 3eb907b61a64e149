//! The instructions that rules are made of. A rule is a small program over 4-byte registers.

use std::net::IpAddr;

use crate::Subnet;
use crate::netlink::Message;

/// A 4-byte register of the rule machine; values longer than that use the following ones as well.
#[derive(Debug, Clone, Copy)]
pub(super) struct Register(pub(super) u32);

/// The first register that the rules here use; the others follow.
pub(super) const FIRST: Register = Register(8);

/// The registers that the name of an interface fills.
const NAME_REGISTERS: u32 = 4;

/// What can be looked at without reading the packet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meta {
    InputInterface,
    OutputInterface,
    TransportProtocol,
}

/// A field of the packet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    SourceAddress,
    DestinationAddress,
    DestinationPort,
}

/// What connection tracking knows about the packet's connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Connection {
    /// It is answered or belongs to one that is.
    Established,
    /// Its destination was translated.
    Redirected,
}

/// The program of one rule.
#[derive(Debug)]
pub(super) struct Program<'a> {
    list: &'a mut Message,
    is_ipv4: bool,
}

/// Attribute numbers of the kernel's nf_tables interface, in its names.
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;

const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFT_REG_VERDICT: u32 = 0;
const NFT_CMP_EQ: u32 = 0;
const NFT_CMP_NEQ: u32 = 1;

// === impl Program ===

impl<'a> Program<'a> {
    pub(super) fn new(list: &'a mut Message, is_ipv4: bool) -> Self {
        Self { list, is_ipv4 }
    }

    /// Returns the register after an address that begins in the first one plus `offset`.
    pub(super) fn after_address(&self, offset: u32) -> Register {
        let length = if self.is_ipv4 { 1 } else { 4 };
        Register(FIRST.0 + offset + length)
    }

    /// Goes on only for packets that go between two interfaces of which the set has the pair.
    pub(super) fn between(&mut self, set: &str) -> &mut Self {
        self.meta(Meta::InputInterface, FIRST)
            .meta(Meta::OutputInterface, Register(FIRST.0 + NAME_REGISTERS))
            .member(set)
    }

    /// Goes on only for packets of an interface that the set has.
    pub(super) fn interface_in(&mut self, meta: Meta, set: &str) -> &mut Self {
        self.meta(meta, FIRST).member(set)
    }

    fn member(&mut self, set: &str) -> &mut Self {
        self.expression("lookup", |data| {
            data.text(1, set).be32(2, FIRST.0);
        })
    }

    /// Goes on only for packets of this protocol to this port.
    pub(super) fn service(&mut self, protocol: u8, port: u16) -> &mut Self {
        self.meta(Meta::TransportProtocol, FIRST)
            .compare(&[protocol], true)
            .field(Field::DestinationPort, FIRST)
            .compare(&port.to_be_bytes(), true)
    }

    /// Puts a value into registers, from the first one on.
    pub(super) fn load(&mut self, bytes: &[u8], to: Register) -> &mut Self {
        self.expression("immediate", |data| {
            data.be32(1, to.0);
            value(data, 2, bytes);
        })
    }

    /// Goes on only for packets of (or, negated, not of) this interface.
    pub(super) fn interface(&mut self, meta: Meta, name: &str, equal: bool) -> &mut Self {
        let mut padded = [0; libc::IFNAMSIZ];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        self.meta(meta, FIRST).compare(&padded, equal)
    }

    /// Goes on only for packets whose address lies in the network.
    pub(super) fn network(&mut self, field: Field, subnet: Subnet) -> &mut Self {
        let (first, last) = (octets(subnet.network()), octets(subnet.last()));
        let mask: Vec<u8> = first.iter().zip(last).map(|(a, b)| !(a ^ b)).collect();
        self.field(field, FIRST).mask(&mask).compare(&first, true)
    }

    /// Goes on only for packets to one of the machine's own addresses.
    pub(super) fn local_destination(&mut self) -> &mut Self {
        const FLAG_DESTINATION: u32 = 1 << 1;
        const RESULT_ADDRESS_TYPE: u32 = 3;
        self.expression("fib", |data| {
            data.be32(1, FIRST.0)
                .be32(2, RESULT_ADDRESS_TYPE)
                .be32(3, FLAG_DESTINATION);
        })
        .compare(&u32::from(libc::RTN_LOCAL).to_ne_bytes(), true)
    }

    /// Goes on only for packets of such connections.
    pub(super) fn connection(&mut self, connection: Connection) -> &mut Self {
        /// Bits of the state (established, related) and of the status (destination translated).
        const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;
        const DESTINATION_TRANSLATED: u32 = 1 << 5;
        let (key, bits) = match connection {
            Connection::Established => (0, ESTABLISHED_OR_RELATED),
            Connection::Redirected => (2, DESTINATION_TRANSLATED),
        };
        self.expression("ct", |data| {
            data.be32(1, FIRST.0).be32(2, key);
        })
        .mask(&bits.to_ne_bytes())
        .compare(&[0; 4], false)
    }

    pub(super) fn meta(&mut self, meta: Meta, to: Register) -> &mut Self {
        let key = match meta {
            Meta::InputInterface => 6,
            Meta::OutputInterface => 7,
            Meta::TransportProtocol => 16,
        };
        self.expression("meta", |data| {
            data.be32(1, to.0).be32(2, key);
        })
    }

    pub(super) fn field(&mut self, field: Field, to: Register) -> &mut Self {
        const NETWORK_HEADER: u32 = 1;
        const TRANSPORT_HEADER: u32 = 2;
        let (base, offset, length) = match (field, self.is_ipv4) {
            (Field::SourceAddress, true) => (NETWORK_HEADER, 12, 4),
            (Field::SourceAddress, false) => (NETWORK_HEADER, 8, 16),
            (Field::DestinationAddress, true) => (NETWORK_HEADER, 16, 4),
            (Field::DestinationAddress, false) => (NETWORK_HEADER, 24, 16),
            (Field::DestinationPort, _) => (TRANSPORT_HEADER, 2, 2),
        };
        self.expression("payload", |data| {
            data.be32(1, to.0)
                .be32(2, base)
                .be32(3, offset)
                .be32(4, length);
        })
    }

    /// Looks up the registers from the first on and puts what is found into the same place; goes on
    /// only when something is found.
    pub(super) fn lookup(&mut self, map: &str) -> &mut Self {
        self.expression("lookup", |data| {
            data.text(1, map).be32(2, FIRST.0).be32(3, FIRST.0);
        })
    }

    /// Translates the destination to the address and port in the registers from the first on.
    pub(super) fn redirect(&mut self) {
        const DESTINATION: u32 = 1;
        let port = self.after_address(0);
        let family = if self.is_ipv4 {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        self.expression("nat", |data| {
            data.be32(1, DESTINATION)
                .be32(2, family.cast_unsigned())
                .be32(3, FIRST.0)
                .be32(5, port.0);
        });
    }

    /// Translates the source to the address of the interface that the packet leaves by.
    pub(super) fn masquerade(&mut self) {
        self.expression("masq", |_| {});
    }

    pub(super) fn accept(&mut self) {
        self.verdict(NF_ACCEPT);
    }

    pub(super) fn drop(&mut self) {
        self.verdict(NF_DROP);
    }

    fn verdict(&mut self, code: u32) {
        self.expression("immediate", |data| {
            data.be32(1, NFT_REG_VERDICT).nested(2, |value| {
                value.nested(NFTA_DATA_VERDICT, |verdict| {
                    verdict.be32(NFTA_VERDICT_CODE, code);
                });
            });
        });
    }

    fn mask(&mut self, mask: &[u8]) -> &mut Self {
        let length = u32::try_from(mask.len()).unwrap_or_default();
        self.expression("bitwise", |data| {
            data.be32(1, FIRST.0).be32(2, FIRST.0).be32(3, length);
            value(data, 4, mask);
            value(data, 5, &vec![0; mask.len()]);
        })
    }

    fn compare(&mut self, expected: &[u8], equal: bool) -> &mut Self {
        let operation = if equal { NFT_CMP_EQ } else { NFT_CMP_NEQ };
        self.expression("cmp", |data| {
            data.be32(1, FIRST.0).be32(2, operation);
            value(data, 3, expected);
        })
    }

    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Message)) -> &mut Self {
        self.list.nested(NFTA_LIST_ELEM, |expression| {
            expression.text(NFTA_EXPR_NAME, name);
            expression.nested(NFTA_EXPR_DATA, data);
        });
        self
    }
}

/// Appends a value as rules and map elements hold it.
pub(super) fn value(message: &mut Message, kind: u16, bytes: &[u8]) {
    message.nested(kind, |data| {
        data.attribute(NFTA_DATA_VALUE, bytes);
    });
}

/// Returns the bytes of values that lie next to each other in registers, each padded to four bytes.
pub(super) fn address_and_port(address: IpAddr, port: u16) -> Vec<u8> {
    let mut bytes = octets(address);
    bytes.extend(port.to_be_bytes());
    bytes.extend([0; 2]);
    bytes
}

/// Returns the bytes of an address.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
