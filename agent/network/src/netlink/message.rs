//! The encoding of netlink messages and their attributes.

/// A request under construction: the netlink header, the family's own header, attributes.
#[derive(Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

/// The part that all messages begin with: length, type, flags, sequence number and port.
pub(crate) const HEADER: usize = 16;

/// The length and the type of an attribute.
const ATTRIBUTE_HEADER: usize = 4;

/// Marks an attribute that contains attributes.
const NESTED: u16 = 0x8000;

/// The bits of an attribute's type that are not flags.
const TYPE_MASK: u16 = 0x3fff;

// === impl Message ===

impl Message {
    pub(crate) fn new(kind: u16, flags: u16, family_header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | flag(libc::NLM_F_REQUEST)).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(family_header);
        Self { bytes }
    }

    /// Appends an attribute.
    ///
    /// # Panics
    ///
    /// Panics when the value is longer than an attribute can be; callers split long lists.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes
            .extend(attribute_length(value.len()).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
        self
    }

    /// Appends an attribute whose value is the attributes that `content` appends.
    pub(crate) fn nested(&mut self, kind: u16, content: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        content(self);
        let length = attribute_length(self.bytes.len() - start - ATTRIBUTE_HEADER);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    pub(crate) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends a number in the order of the network, as the firewall wants all of them.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Appends bytes that are not an attribute, such as the header that some nested values begin with.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    /// Completes the message for sending.
    pub(crate) fn finish(mut self, sequence: u32, extra_flags: u16) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | extra_flags;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

fn attribute_length(value: usize) -> u16 {
    u16::try_from(value + ATTRIBUTE_HEADER).expect("an attribute of less than 64 KiB")
}

/// Turns a flag constant of the C library into the type that it has in messages.
pub(crate) const fn flag(constant: i32) -> u16 {
    assert!(constant >= 0 && constant <= u16::MAX as i32);
    constant as u16
}

/// Returns the attributes of a received message; what is malformed ends the list.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (header, _) = bytes.split_first_chunk::<ATTRIBUTE_HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Reads a number in the machine's order from the beginning of the bytes.
pub(crate) fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_has_its_length_and_its_attributes_read_back() {
        let mut message = Message::new(16, 4, &[1, 2, 3, 4]);
        message.text(3, "eth0").nested(18, |info| {
            info.u32(1, 7).attribute(2, &[9]);
        });
        let bytes = message.finish(42, 1);
        assert_eq!(read_u32(&bytes), Some(u32::try_from(bytes.len()).unwrap()));
        let top: Vec<_> = attributes(&bytes[HEADER + 4..]).collect();
        assert_eq!(top[0], (3, b"eth0\0".as_slice()));
        let inner: Vec<_> = attributes(top[1].1).collect();
        assert_eq!(top[1].0, 18);
        assert_eq!(inner, [(1, 7_u32.to_ne_bytes().as_slice()), (2, &[9][..])]);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read_as_attributes(bytes: Vec<u8>) {
            prop_assert!(attributes(&bytes).count() <= bytes.len());
        }
    }
}
