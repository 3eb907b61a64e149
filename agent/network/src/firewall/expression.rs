//! The instructions that rules are made of. A rule is a small program over 4-byte registers.

use std::net::Ipv4Addr;

use crate::netlink::Message;

/// A 4-byte register of the rule machine; values longer than that use the following ones as well.
#[derive(Debug, Clone, Copy)]
pub(super) struct Register(u32);

/// The registers that the rules here use, which lie next to each other.
pub(super) const FIRST: Register = Register(8);
pub(super) const SECOND: Register = Register(9);
pub(super) const THIRD: Register = Register(10);

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
    pub(super) fn new(list: &'a mut Message) -> Self {
        Self { list }
    }

    /// Goes on only for packets of (or, negated, not of) this interface.
    pub(super) fn interface(&mut self, meta: Meta, name: &str, equal: bool) -> &mut Self {
        let mut padded = [0; libc::IFNAMSIZ];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        self.meta(meta, FIRST).compare(&padded, equal)
    }

    /// Goes on only for packets whose address lies in the network.
    pub(super) fn network(&mut self, field: Field, subnet: crate::Subnet) -> &mut Self {
        let mask = subnet.broadcast().to_bits() ^ subnet.network().to_bits();
        self.field(field, FIRST)
            .mask((!mask).to_be_bytes())
            .compare(&subnet.network().octets(), true)
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
        .mask(bits.to_ne_bytes())
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
        let (base, offset, length) = match field {
            Field::SourceAddress => (NETWORK_HEADER, 12, 4),
            Field::DestinationAddress => (NETWORK_HEADER, 16, 4),
            Field::DestinationPort => (TRANSPORT_HEADER, 2, 2),
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

    /// Translates the destination to the address and port in the first two registers.
    pub(super) fn redirect(&mut self) {
        const DESTINATION: u32 = 1;
        self.expression("nat", |data| {
            data.be32(1, DESTINATION)
                .be32(2, libc::AF_INET.cast_unsigned())
                .be32(3, FIRST.0)
                .be32(5, SECOND.0);
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

    fn mask(&mut self, mask: [u8; 4]) -> &mut Self {
        self.expression("bitwise", |data| {
            data.be32(1, FIRST.0).be32(2, FIRST.0).be32(3, 4);
            value(data, 4, &mask);
            value(data, 5, &[0; 4]);
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
pub(super) fn address_and_port(address: Ipv4Addr, port: u16) -> [u8; 8] {
    let [a, b, c, d] = address.octets();
    let [high, low] = port.to_be_bytes();
    [a, b, c, d, high, low, 0, 0]
}
