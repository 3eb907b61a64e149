//! A connection cut into messages, and messages into values.

use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};

use super::decode::{Decoded, message};
use super::types::Types;
use super::{GobError, Value, wire};

/// The most bytes of one value: many times what a driver's configuration takes.
const MAX_BYTES: u64 = 16 << 20;

/// Reads values from a peer.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    input: BufReader<R>,
    types: Types,
}

// === impl Reader ===

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(input: BufReader<R>) -> Self {
        Self {
            input,
            types: Types::default(),
        }
    }

    /// Returns the next value, or nothing when the peer has ended the connection before one.
    pub(crate) async fn value(&mut self) -> Result<Option<Value>, GobError> {
        loop {
            let mut bytes = Vec::new();
            if !self.message(&mut bytes, false).await? {
                return Ok(None);
            }
            if let Some(value) = self.complete(bytes).await? {
                return Ok(Some(value));
            }
        }
    }

    /// Decodes a message, with as many more as its value goes on in.
    async fn complete(&mut self, mut bytes: Vec<u8>) -> Result<Option<Value>, GobError> {
        loop {
            // A first try learns types that the second one meets again.
            let mut types = self.types.clone();
            match message(&bytes, &mut types) {
                Ok(decoded) => {
                    self.types = types;
                    return Ok(match decoded {
                        Decoded::Type => None,
                        Decoded::Value(value) => Some(value),
                    });
                }
                Err(GobError::Continued) => {
                    if !self.message(&mut bytes, true).await? {
                        return Err(GobError::Continued);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends one message; `counted` keeps its length in front of it.
    async fn message(&mut self, bytes: &mut Vec<u8>, counted: bool) -> Result<bool, GobError> {
        let mut first = [0];
        if self.input.read(&mut first).await? == 0 {
            return Ok(false);
        }
        let mut number = [0; 8];
        let width = wire::width(first[0])?;
        let length = match width {
            None => u64::from(first[0]),
            Some(width) => {
                self.input.read_exact(&mut number[8 - width..]).await?;
                u64::from_be_bytes(number)
            }
        };
        if length.saturating_add(bytes.len() as u64) > MAX_BYTES {
            return Err(GobError::Limit {
                what: "bytes in a message",
                limit: MAX_BYTES,
            });
        }
        if counted {
            bytes.push(first[0]);
            bytes.extend_from_slice(&number[8 - width.unwrap_or(0)..]);
        }
        // Memory grows with what arrives, not with what is announced.
        let read = (&mut self.input).take(length).read_to_end(bytes).await?;
        if (read as u64) < length {
            return Err(GobError::Malformed(
                "the connection ended inside of a message",
            ));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(hexadecimal: &str) -> Result<Vec<Value>, GobError> {
        let bytes = hex::decode(hexadecimal.replace([' ', '\n'], "")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut reader = Reader::new(BufReader::new(&bytes[..]));
            let mut values = Vec::new();
            while let Some(value) = reader.value().await? {
                values.push(value);
            }
            Ok(values)
        })
    }

    const RESPONSE: &str = "3aff8103010108526573706f6e736501ff82000103010d536572766963654d6574686f64010c00010353657101060001054572726f72010c000000";

    #[test]
    fn answers_of_a_go_plugin_are_understood() {
        let stream = format!(
            "{RESPONSE} 45ff8201145250435365727665724472697665722e53746f7001010128686f73747320776974686f75742061206472697665722063616e6e6f742062652073746f7070656400
             0aff83030102ff84000000 03ff8400 03040002 070c00046e6f6e65"
        );
        let values = values(&stream).unwrap();
        assert_eq!(values[0].text_of("ServiceMethod"), "RPCServerDriver.Stop");
        assert_eq!(values[0].field("Seq"), Some(&Value::Uint(1)));
        assert_eq!(
            values[0].text_of("Error"),
            "hosts without a driver cannot be stopped"
        );
        assert_eq!(
            values[1],
            Value::Struct(std::collections::BTreeMap::default())
        );
        assert_eq!(values[2], Value::Int(1));
        assert_eq!(values[3], Value::Text("none".to_owned()));
    }

    #[test]
    fn a_value_over_several_messages_is_one() {
        let stream = "0cff85020102ff860001100000
            58ff860001132a6d636e666c61672e537472696e67466c6167ff870301010a537472696e67466c616701ff8800010401044e616d65010c0001055573616765010c000106456e76566172010c00010556616c7565010c000000
            31ff882e010375726c012655524c206f6620686f7374207768656e206e6f206472697665722069732073656c656374656400";
        let values = values(stream).unwrap();
        assert_eq!(values.len(), 1);
        let [Value::Interface(name, flag)] = values[0].list().unwrap() else {
            panic!("{values:?}");
        };
        assert_eq!(name, "*mcnflag.StringFlag");
        assert_eq!(flag.text_of("Name"), "url");
        assert_eq!(
            flag.text_of("Usage"),
            "URL of host when no driver is selected"
        );
        assert_eq!(flag.field("Value"), None);
    }

    #[test]
    fn announced_lengths_are_not_believed() {
        let error = values("f87fffffffffffffff00").unwrap_err();
        assert!(error.to_string().contains("16777216 bytes"), "{error}");
        let error = values("fd00ffff0c00").unwrap_err();
        assert!(error.to_string().contains("inside of a message"), "{error}");
        let error = values("48545450").unwrap_err();
        assert!(error.to_string().contains("inside of a message"), "{error}");
    }
}
