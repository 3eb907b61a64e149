//! QEMU's machine protocol, as far as a button needs it: a line of JSON each way.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

/// Has a command executed by the guest that listens on a socket.
pub(super) fn execute(socket: &Path, command: &str) {
    let mut stream = UnixStream::connect(socket).expect("QEMU's socket");
    let mut lines = BufReader::new(stream.try_clone().expect("descriptor")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("readable");
        serde_json::from_str(&line).expect("JSON")
    };
    assert!(next().get("QMP").is_some(), "the greeting");
    for command in ["qmp_capabilities", command] {
        writeln!(stream, "{}", json!({ "execute": command })).expect("write");
        let answer = loop {
            let line = next();
            // Events come in between.
            if line.get("event").is_none() {
                break line;
            }
        };
        assert!(answer.get("return").is_some(), "{command}: {answer}");
    }
}
