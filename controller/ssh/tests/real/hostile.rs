//! A host whose file server lies.

use std::fs;
use std::path::Path;

use berth_controller_ssh::copy::{End, Side, copy};

use crate::Host;
use crate::files::{ALL, Heard, there};

/// A file server that shows one directory with the names in `NAMES`, every file of it with the
/// bytes `evil`, and `tree` itself as a directory.
const LIAR: &str = r#"
import os, struct, sys
NAMES = [%NAMES%]
i, o = sys.stdin.buffer, sys.stdout.buffer
def s(b): return struct.pack('>I', len(b)) + b
def send(kind, rest):
    o.write(struct.pack('>IB', len(rest) + 1, kind) + rest); o.flush()
def status(n, code): send(101, n + struct.pack('>I', code) + s(b'') + s(b''))
DIR = struct.pack('>II', 4, 0o40755)
FILE = struct.pack('>IQI', 5, 4, 0o100644)
listed = False
while True:
    head = i.read(4)
    if len(head) < 4: break
    body = i.read(struct.unpack('>I', head)[0])
    kind, n, rest = body[0], body[1:5], body[5:]
    word = rest[4:4 + struct.unpack('>I', rest[:4])[0]] if len(rest) >= 4 else b''
    if kind == 1: send(2, struct.pack('>I', 3))
    elif kind == 17: send(105, n + (DIR if word.endswith(b'tree') else FILE))
    elif kind == 11: send(102, n + s(b'd'))
    elif kind == 12:
        if listed: status(n, 1)
        else:
            listed = True
            send(104, n + struct.pack('>I', len(NAMES)) + b''.join(s(x) + s(x) + FILE for x in NAMES))
    elif kind == 3: send(102, n + s(b'f'))
    elif kind == 5:
        at = struct.unpack('>Q', rest[-12:-4])[0]
        if at: status(n, 1)
        else: send(103, n + s(b'evil'))
    elif kind == 16: send(104, n + struct.pack('>I', 1) + s(b'/../../escape') + s(b'') + FILE)
    else: status(n, 0)
"#;

async fn copied(names: &str) -> (Host, Heard, Result<(), String>) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("liar.py");
    fs::write(&script, LIAR.replace("%NAMES%", names)).unwrap();
    let subsystem = format!("Subsystem sftp python3 {}", script.display());
    let host = Host::start_in(folder, &[&subsystem]);
    let session = host.session().await;
    let files = session.sftp().await.unwrap();
    let target = host.path("outer/target");
    fs::create_dir_all(&target).unwrap();
    let to = End {
        side: Side::Local,
        path: target.to_str().unwrap().into(),
    };
    let heard = Heard::default();
    let result = copy(&there(&files, Path::new("tree")), &to, ALL, &heard).await;
    (host, heard, result.map_err(|error| error.to_string()))
}

fn everything(host: &Host) -> Vec<String> {
    let folder = host.path("outer");
    let list = crate::run("find", &[folder.to_str().unwrap(), "-type", "f"]);
    let prefix = format!("{}/", folder.display());
    list.lines().map(|line| line.replace(&prefix, "")).collect()
}

#[tokio::test]
async fn names_that_lead_elsewhere_write_nothing_at_all() {
    for names in [
        "b'good', b'../evil'",
        "b'good', b'/tmp/berth-evil'",
        "b'good', b'a/b'",
        "b'good', b''",
        "b'good', b'nul\\x00'",
    ] {
        let (host, heard, result) = copied(names).await;
        assert!(result.is_err(), "{names}");
        let problem = heard.problems().join(" ");
        assert!(problem.contains("leads out of it"), "{names}: {problem}");
        assert_eq!(everything(&host), Vec::<String>::new(), "{names}");
    }
}

#[tokio::test]
async fn steps_that_stay_or_go_up_are_passed_over() {
    let (host, heard, result) = copied("b'.', b'..', b'good', b'good'").await;
    assert!(result.is_ok(), "{:?}", heard.problems());
    assert_eq!(everything(&host), ["target/tree/good"]);
}

#[tokio::test]
async fn control_characters_of_names_do_not_reach_the_terminal() {
    let (_host, heard, result) = copied("b'x\\x1b[31m', b'a/b'").await;
    assert!(result.is_err());
    assert!(!heard.problems().join(" ").contains('\u{1b}'));
}
