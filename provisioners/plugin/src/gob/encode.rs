//! What berth itself sends: a handful of types, with numbers of our choice.
//!
//! A description goes out once, before the first value of its type; in the middle of a value it
//! ends the message, and the value goes on in the next one, as Go does it.

use std::collections::{BTreeMap, BTreeSet};

use berth_provisioners_api::{FlagSpec, FlagValue};

use super::describe::{Fields, LIST, MAP, describe_plain, describe_struct};
use super::types::id;
use super::wire::{put_bytes, put_int, put_uint};

/// The numbers of our types.
mod own {
    pub(super) const HEAD: i64 = 65;
    pub(super) const EMPTY: i64 = 66;
    pub(super) const OPTIONS: i64 = 67;
    pub(super) const OPTION_MAP: i64 = 68;
    pub(super) const TEXTS: i64 = 69;
    pub(super) const FLAGS: i64 = 70;
    pub(super) const TEXT_FLAG: i64 = 71;
    pub(super) const NUMBER_FLAG: i64 = 72;
    pub(super) const SWITCH_FLAG: i64 = 73;
    pub(super) const LIST_FLAG: i64 = 74;
}

/// What goes before a body.
#[derive(Clone, Debug)]
pub(crate) enum Head {
    /// A call.
    Request { method: String, seq: u64 },
    /// Its answer; with an error, the body means nothing.
    Response {
        method: String,
        seq: u64,
        error: String,
    },
}

/// What a call or an answer carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Empty,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// The values of flags, for `SetConfigFromFlags`.
    Options(BTreeMap<String, FlagValue>),
    /// The flags of a driver.
    Flags(Vec<FlagSpec>),
}

/// The writing half of one connection.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    described: BTreeSet<i64>,
    /// Whole messages.
    done: Vec<u8>,
    /// The message at which we are.
    message: Vec<u8>,
}

// === impl Writer ===

impl Writer {
    /// Returns the bytes of a call or an answer.
    pub(crate) fn encode(&mut self, head: &Head, body: &Body) -> Vec<u8> {
        self.head(head);
        self.body(body);
        std::mem::take(&mut self.done)
    }

    fn head(&mut self, head: &Head) {
        let (name, fields, values) = match head {
            Head::Request { method, seq } => (
                "Request",
                &[("ServiceMethod", id::TEXT), ("Seq", id::UINT)][..],
                (method, *seq, ""),
            ),
            Head::Response { method, seq, error } => (
                "Response",
                &[
                    ("ServiceMethod", id::TEXT),
                    ("Seq", id::UINT),
                    ("Error", id::TEXT),
                ][..],
                (method, *seq, error.as_str()),
            ),
        };
        self.describe(own::HEAD, |out| {
            describe_struct(out, name, own::HEAD, fields);
        });
        put_int(&mut self.message, own::HEAD);
        let (method, seq, error) = values;
        let mut fields = Fields::new(&mut self.message);
        fields.text(method);
        fields.skip_or(seq == 0, |out| put_uint(out, seq));
        fields.text(error);
        fields.end();
        self.end_message();
    }

    fn body(&mut self, body: &Body) {
        match body {
            Body::Empty => {
                self.describe(own::EMPTY, |out| describe_struct(out, "", own::EMPTY, &[]));
                put_int(&mut self.message, own::EMPTY);
                self.message.push(0);
            }
            Body::Int(number) => {
                self.begin(id::INT);
                put_int(&mut self.message, *number);
            }
            Body::Text(text) => {
                self.begin(id::TEXT);
                put_bytes(&mut self.message, text.as_bytes());
            }
            Body::Bytes(bytes) => {
                self.begin(id::BYTES);
                put_bytes(&mut self.message, bytes);
            }
            Body::Options(values) => self.options(values),
            Body::Flags(flags) => self.flags(flags),
        }
        self.end_message();
    }

    /// Begins a value that is no structure.
    fn begin(&mut self, number: i64) {
        put_int(&mut self.message, number);
        self.message.push(0);
    }

    fn options(&mut self, values: &BTreeMap<String, FlagValue>) {
        self.describe(own::OPTIONS, |out| {
            describe_struct(
                out,
                "RPCFlags",
                own::OPTIONS,
                &[("Values", own::OPTION_MAP)],
            );
        });
        self.describe(own::OPTION_MAP, |out| {
            describe_plain(
                out,
                (MAP, "map[string]interface {}", own::OPTION_MAP),
                &[id::TEXT, id::INTERFACE],
            );
        });
        self.describe_texts();
        let mut value = Vec::new();
        if !values.is_empty() {
            value.push(1);
            put_uint(&mut value, values.len() as u64);
        }
        for (name, option) in values {
            put_bytes(&mut value, name.as_bytes());
            put_option(&mut value, option);
        }
        value.push(0);
        self.begin(id::INTERFACE);
        put_bytes(&mut self.message, b"*rpcdriver.RPCFlags");
        put_int(&mut self.message, own::OPTIONS);
        put_bytes(&mut self.message, &value);
    }

    fn flags(&mut self, flags: &[FlagSpec]) {
        self.describe(own::FLAGS, |out| {
            describe_plain(out, (LIST, "", own::FLAGS), &[id::INTERFACE]);
        });
        self.begin(own::FLAGS);
        put_uint(&mut self.message, flags.len() as u64);
        for flag in flags {
            self.flag(flag);
        }
    }

    fn flag(&mut self, flag: &FlagSpec) {
        let (number, name, value) = match &flag.default {
            FlagValue::Text(_) => (own::TEXT_FLAG, "StringFlag", Some(id::TEXT)),
            FlagValue::Number(_) => (own::NUMBER_FLAG, "IntFlag", Some(id::INT)),
            FlagValue::List(_) => (own::LIST_FLAG, "StringSliceFlag", Some(own::TEXTS)),
            FlagValue::Switch(_) => (own::SWITCH_FLAG, "BoolFlag", None),
        };
        put_bytes(&mut self.message, format!("*mcnflag.{name}").as_bytes());
        let mut fields = vec![
            ("Name", id::TEXT),
            ("Usage", id::TEXT),
            ("EnvVar", id::TEXT),
        ];
        fields.extend(value.map(|number| ("Value", number)));
        self.describe(number, |out| describe_struct(out, name, number, &fields));
        if number == own::LIST_FLAG {
            self.describe_texts();
        }
        let mut value = Vec::new();
        put_flag(&mut value, flag);
        put_int(&mut self.message, number);
        put_bytes(&mut self.message, &value);
    }

    fn describe_texts(&mut self) {
        self.describe(own::TEXTS, |out| {
            describe_plain(out, (LIST, "", own::TEXTS), &[id::TEXT]);
        });
    }

    /// Describes a type unless the peer knows it; this ends the message.
    fn describe(&mut self, number: i64, describe: impl FnOnce(&mut Vec<u8>)) {
        if self.described.insert(number) {
            put_int(&mut self.message, -number);
            describe(&mut self.message);
            self.end_message();
        }
    }

    fn end_message(&mut self) {
        put_bytes(&mut self.done, &self.message);
        self.message.clear();
    }
}

fn put_flag(out: &mut Vec<u8>, flag: &FlagSpec) {
    let mut fields = Fields::new(out);
    fields.text(&flag.name);
    fields.text(&flag.help);
    fields.text(flag.env.as_deref().unwrap_or_default());
    match &flag.default {
        FlagValue::Text(text) => fields.text(text),
        FlagValue::Number(number) => fields.skip_or(*number == 0, |out| put_int(out, *number)),
        FlagValue::List(list) => fields.skip_or(list.is_empty(), |out| put_texts(out, list)),
        FlagValue::Switch(_) => {}
    }
    fields.end();
}

/// Writes a value of a flag as an interface holds it.
fn put_option(out: &mut Vec<u8>, option: &FlagValue) {
    // The zero that stands before what is no structure.
    let mut value = vec![0];
    let (name, number) = match option {
        FlagValue::Switch(on) => {
            value.push(u8::from(*on));
            ("bool", id::BOOL)
        }
        FlagValue::Number(number) => {
            put_int(&mut value, *number);
            ("int", id::INT)
        }
        FlagValue::Text(text) => {
            put_bytes(&mut value, text.as_bytes());
            ("string", id::TEXT)
        }
        FlagValue::List(list) => {
            put_texts(&mut value, list);
            ("[]string", own::TEXTS)
        }
    };
    put_bytes(out, name.as_bytes());
    put_int(out, number);
    put_bytes(out, &value);
}

fn put_texts(out: &mut Vec<u8>, texts: &[String]) {
    put_uint(out, texts.len() as u64);
    for text in texts {
        put_bytes(out, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hexadecimal(bytes: &[u8]) -> String {
        hex::encode(bytes)
    }

    fn request(method: &str, seq: u64) -> Head {
        Head::Request {
            method: format!("RPCServerDriver.{method}"),
            seq,
        }
    }

    #[test]
    fn calls_are_gos_byte_for_byte() {
        let mut writer = Writer::default();
        assert_eq!(
            hexadecimal(&writer.encode(&request("GetVersion", 0), &Body::Empty)),
            "2fff81030101075265717565737401ff82000102010d536572766963654d6574686f64010c0001035365710106000000\
             1fff82011a5250435365727665724472697665722e47657456657273696f6e00\
             0aff83030102ff8400000003ff8400"
        );
        assert_eq!(
            hexadecimal(&writer.encode(&request("GetIP", 7), &Body::Empty)),
            "1cff8201155250435365727665724472697665722e476574495001070003ff8400"
        );
    }

    #[test]
    fn configurations_are_gos_byte_for_byte() {
        let mut writer = Writer::default();
        writer.encode(&request("GetVersion", 0), &Body::Empty);
        let bytes = writer.encode(&request("SetConfigRaw", 1), &Body::Bytes(b"{}".to_vec()));
        assert!(hexadecimal(&bytes).ends_with("050a00027b7d"), "{bytes:x?}");
    }

    #[test]
    fn options_are_gos_byte_for_byte() {
        let mut writer = Writer::default();
        let head = writer.encode(&request("SetConfigFromFlags", 5), &Body::Empty);
        let n_empty = 15;
        let n_head = head.len() - n_empty;
        assert_eq!(
            hexadecimal(&head[n_head..]),
            "0aff83030102ff8400000003ff8400"
        );

        let mut writer = Writer::default();
        let values = BTreeMap::from([
            ("a-bool".to_owned(), FlagValue::Switch(true)),
            ("b-int".to_owned(), FlagValue::Number(22)),
            ("c-str".to_owned(), FlagValue::Text("x".to_owned())),
            (
                "d-list".to_owned(),
                FlagValue::List(vec!["p".to_owned(), "q".to_owned()]),
            ),
            ("e-empty".to_owned(), FlagValue::Text(String::new())),
        ]);
        let bytes = writer.encode(&request("SetConfigFromFlags", 5), &Body::Options(values));
        assert_eq!(
            hexadecimal(&bytes[n_head..]),
            "22ff8503010108525043466c61677301ff86000101010656616c75657301ff88000000\
             27ff87040101176d61705b737472696e675d696e74657266616365207b7d01ff8800010c01100000\
             0cff89020102ff8a00010c0000\
             781000132a7270636472697665722e525043466c616773ff865f010506612d626f6f6c04626f6f6c0202000105622d696e7403696e740402002c05632d73747206737472696e670c0300017806642d6c697374085b5d737472696e67ff8a0600020170017107652d656d70747906737472696e670c02000000"
        );
    }

    #[test]
    fn answers_are_gos_byte_for_byte() {
        let answer = |writer: &mut Writer, error: &str, body: &Body| {
            let head = Head::Response {
                method: "RPCServerDriver.Stop".to_owned(),
                seq: 1,
                error: error.to_owned(),
            };
            hexadecimal(&writer.encode(&head, body))
        };
        let mut writer = Writer::default();
        assert_eq!(
            answer(
                &mut writer,
                "hosts without a driver cannot be stopped",
                &Body::Empty
            ),
            "3aff8103010108526573706f6e736501ff82000103010d536572766963654d6574686f64010c00010353657101060001054572726f72010c000000\
             45ff8201145250435365727665724472697665722e53746f7001010128686f73747320776974686f75742061206472697665722063616e6e6f742062652073746f7070656400\
             0aff83030102ff8400000003ff8400"
        );
        assert!(answer(&mut writer, "", &Body::Int(1)).ends_with("03040002"));
        let text = Body::Text("none".to_owned());
        assert!(answer(&mut writer, "", &text).ends_with("070c00046e6f6e65"));
    }

    #[test]
    fn flags_are_gos_but_for_the_numbers_of_the_types() {
        let mut writer = Writer::default();
        let flags = vec![FlagSpec::text(
            "url",
            "",
            "URL of host when no driver is selected",
        )];
        let head = Head::Response {
            method: String::new(),
            seq: 0,
            error: String::new(),
        };
        let bytes = hexadecimal(&writer.encode(&head, &Body::Flags(flags)));
        // Go's plugin happened to number its types 67 and 68.
        let gos = "0cff85020102ff860001100000\
             58ff860001132a6d636e666c61672e537472696e67466c6167ff870301010a537472696e67466c616701ff8800010401044e616d65010c0001055573616765010c000106456e76566172010c00010556616c7565010c000000\
             31ff882e010375726c012655524c206f6620686f7374207768656e206e6f206472697665722069732073656c656374656400";
        let ours = gos
            .replace("ff85", "ff8b")
            .replace("ff86", "ff8c")
            .replace("ff87", "ff8d")
            .replace("ff88", "ff8e");
        assert!(bytes.ends_with(&ours), "{bytes}\n{ours}");
    }
}
