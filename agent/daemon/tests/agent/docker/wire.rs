//! Bytes on the wire that clients depend on.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::Docker;
use crate::client::IMAGE;
use crate::host::{Host, PATIENCE};

/// A connection to the agent.
pub(super) struct Wire(UnixStream);

/// An answer that is over.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) fn new(host: &Host) -> Self {
        let stream = UnixStream::connect(host.path("run/berthd.sock")).expect("socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(stream)
    }

    /// Sends a request with a body that may be empty.
    pub(super) fn send(&mut self, line: &str, headers: &str, body: &str) {
        let length = body.len();
        let text = format!(
            "{line} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(text.as_bytes()).expect("request");
    }

    /// Reads up to the end of an answer's head.
    pub(super) fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        String::from_utf8(head).expect("text")
    }

    /// Reads to the end of the connection.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("an end");
        rest
    }

    /// Asks, and reads the whole answer.
    pub(super) fn ask(host: &Host, line: &str, body: &str) -> Answer {
        let mut wire = Self::new(host);
        let kind = "Content-Type: application/json\r\nConnection: close\r\n";
        wire.send(line, kind, body);
        let head = wire.head();
        let body = wire.rest();
        Answer { head, body }
    }
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).expect("a status");
        status.parse().expect("a number")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[test]
fn a_ping_says_what_is_spoken() {
    let host = Host::new();
    for method in ["GET", "HEAD"] {
        let answer = Wire::ask(&host, &format!("{method} /_ping"), "");
        assert_eq!(answer.status(), 200);
        for (name, value) in [
            ("Api-Version", "1.50"),
            ("Ostype", "linux"),
            ("Docker-Experimental", "false"),
            ("Swarm", "inactive"),
            ("Cache-Control", "no-cache, no-store, must-revalidate"),
            ("Pragma", "no-cache"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert!(
            answer
                .header("Server")
                .is_some_and(|server| server.starts_with("berthd/"))
        );
        let body: &[u8] = if method == "GET" { b"OK" } else { b"" };
        assert_eq!(answer.body, body);
    }
}

#[test]
fn errors_are_objects_with_a_sentence() {
    let host = Host::new();
    let ask = |line: &str, body: &str| {
        let answer = Wire::ask(&host, line, body);
        assert_eq!(
            answer.header("Content-Type"),
            Some("application/json"),
            "{line}"
        );
        assert!(answer.body.ends_with(b"}\n"), "{line}");
        let sentence = answer.json()["message"]
            .as_str()
            .expect("a sentence")
            .to_owned();
        (answer.status(), sentence)
    };
    let sentence = |text: &str| text.to_owned();
    for (line, body, status, wanted) in [
        ("GET /v1.41/nonsense", "", 404, "page not found"),
        ("POST /v1.41/info", "", 404, "page not found"),
        ("POST /v1.41/grpc", "", 404, "page not found"),
        (
            "GET /v1.41/containers/x/json",
            "",
            404,
            "No such container: x",
        ),
        (
            "GET /v1.41/images/x/json",
            "",
            404,
            "No such image: x:latest",
        ),
        (
            "GET /v1.41/exec/x/json",
            "",
            404,
            "No such exec instance: x",
        ),
        (
            "POST /v1.41/containers/create",
            "",
            400,
            "invalid JSON: got EOF while reading request body",
        ),
        (
            "POST /v1.41/containers/create",
            "{\"Image\":\"x\"}",
            404,
            "No such image: x:latest",
        ),
        (
            "POST /v1.41/swarm/leave",
            "",
            503,
            "This node is not part of a swarm",
        ),
        (
            "GET /v1.41/images/search?term=x",
            "",
            501,
            "searching for images is not supported by berth",
        ),
    ] {
        assert_eq!(ask(line, body), (status, sentence(wanted)), "{line}");
    }
    let (status, said) = ask("GET /v1.23/info", "");
    assert_eq!(status, 400);
    assert!(
        said.starts_with("client version 1.23 is too old."),
        "{said}"
    );
    let (status, said) = ask("POST /v1.41/containers/create", "{\"Image\":1}");
    assert_eq!(status, 400);
    assert!(said.starts_with("invalid JSON: "), "{said}");
}

#[test]
fn a_wait_is_answered_before_anything_is_started() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let id = docker.ok(&["create", IMAGE, "sh", "-c", "exit 9"]);
    let mut wire = Wire::new(&host);
    let line = format!("POST /v1.50/containers/{id}/wait?condition=next-exit");
    wire.send(&line, "Connection: close\r\n", "");
    // Without the head no client would go on to the start.
    assert!(wire.head().starts_with("HTTP/1.1 200 OK"));
    let started = Wire::ask(&host, &format!("POST /v1.50/containers/{id}/start"), "");
    assert_eq!(started.status(), 204);
    let rest = String::from_utf8(wire.rest()).expect("text");
    assert!(rest.contains("{\"StatusCode\":9}"), "{rest}");
    let again = Wire::ask(&host, &format!("POST /v1.24/containers/{id}/wait"), "");
    assert_eq!(again.json(), json!({ "StatusCode": 9 }));
}

#[test]
fn a_connection_is_taken_over_in_both_directions() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let script = "cat; echo end; echo err >&2";
    let id = docker.ok(&["create", "-i", IMAGE, "sh", "-c", script]);
    let mut wire = Wire::new(&host);
    let line = format!("POST /v1.50/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
    let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: text/plain\r\n";
    wire.send(&line, upgrade, "");
    // Before the answer, and before the container is started.
    wire.0.write_all(b"early ").expect("input");
    let head = wire.head();
    assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
    let kind = "content-type: application/vnd.docker.multiplexed-stream\r\n";
    assert!(head.to_lowercase().contains(kind), "{head}");
    let started = Wire::ask(&host, &format!("POST /v1.50/containers/{id}/start"), "");
    assert_eq!(started.status(), 204);
    wire.0.write_all(b"late\n").expect("input");
    wire.0.shutdown(Shutdown::Write).expect("half-close");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let rest = wire.rest();
    let mut left = rest.as_slice();
    while !left.is_empty() {
        let (head, body) = left.split_at(8);
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let stream = if head[0] == 2 { &mut err } else { &mut out };
        stream.extend_from_slice(&body[..length]);
        left = &body[length..];
    }
    assert_eq!(String::from_utf8_lossy(&out), "early late\nend\n");
    assert_eq!(String::from_utf8_lossy(&err), "err\n");
}

#[test]
fn a_connection_is_taken_over_for_what_was_written_so_far() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let script = "echo out; echo err >&2";
    docker.ok(&["run", "--name", "done", IMAGE, "sh", "-c", script]);
    let attach = |query: &str| {
        let mut wire = Wire::new(&host);
        // As docker-py, which leaves out "stream" and reads frames to the connection's end.
        let line = format!("POST /v1.41/containers/done/attach?stdout=1&stderr=1&{query}");
        let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
        wire.send(&line, upgrade, "");
        let head = wire.head();
        assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
        wire.rest()
    };
    let frames = attach("stream=0&logs=1");
    let frame = |stream: u8, text: &str| [&[stream, 0, 0, 0, 0, 0, 0, 4], text.as_bytes()].concat();
    let (out, err) = (frame(1, "out\n"), frame(2, "err\n"));
    let orders = [[out.clone(), err.clone()].concat(), [err, out].concat()];
    assert!(orders.contains(&frames), "{frames:?}");
    assert!(attach("stream=0&logs=0").is_empty());
    // Without that, as a body.
    let line = "POST /v1.41/containers/done/attach?stdout=1&logs=1";
    let answer = Wire::ask(&host, line, "");
    assert_eq!(answer.status(), 200);
    assert!(String::from_utf8_lossy(&answer.body).contains("out\n"));
}

#[test]
fn output_does_not_come_with_the_head() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let id = docker.ok(&["run", "-d", IMAGE, "sleep", "600"]);
    let body = json!({ "Cmd": ["echo", "x"], "AttachStdout": true }).to_string();
    for _ in 0..10 {
        let created = Wire::ask(&host, &format!("POST /v1.50/containers/{id}/exec"), &body);
        let exec = created.json()["Id"].as_str().expect("an id").to_owned();
        let mut wire = Wire::new(&host);
        let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n";
        wire.send(&format!("POST /v1.50/exec/{exec}/start"), upgrade, "{}");
        // A slow reader such as docker-py, which reads more than the head at once.
        for _ in 0..5 {
            assert_eq!(Wire::ask(&host, "GET /_ping", "").status(), 200);
        }
        let mut piece = [0; 4096];
        let n = wire.0.read(&mut piece).expect("a head");
        assert!(
            piece[..n].ends_with(b"\r\n\r\n"),
            "{:?}",
            String::from_utf8_lossy(&piece[..n])
        );
        assert!(wire.rest().ends_with(b"x\n"));
    }
}

#[test]
fn who_does_not_take_over_gets_output_as_a_body() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let id = docker.ok(&["run", "-d", IMAGE, "sleep", "600"]);
    let body = json!({ "Cmd": ["echo", "hello"], "AttachStdout": true }).to_string();
    let created = Wire::ask(&host, &format!("POST /v1.24/containers/{id}/exec"), &body);
    assert_eq!(created.status(), 201);
    let exec = created.json()["Id"].as_str().expect("an id").to_owned();
    let line = format!("POST /v1.24/exec/{exec}/start");
    let answer = Wire::ask(&host, &line, "{\"Detach\":false,\"Tty\":false}");
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/vnd.docker.raw-stream")
    );
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("hello\n"), "{text:?}");
    // The end of the stream is the end of the command.
    let state = Wire::ask(&host, &format!("GET /v1.24/exec/{exec}/json"), "").json();
    assert_eq!(
        (&state["Running"], &state["ExitCode"]),
        (&json!(false), &json!(0))
    );
    let again = Wire::ask(&host, &line, "{}");
    assert_eq!(again.status(), 409);
}

#[test]
fn a_slow_or_huge_description_is_turned_away() {
    let host = Host::new();
    let huge = format!("{{\"Image\":\"{}\"}}", "x".repeat(5 << 20));
    let mut wire = Wire::new(&host);
    wire.0.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let kind = "Content-Type: application/json\r\n";
    let length = huge.len();
    let head = format!(
        "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: {length}\r\n\r\n"
    );
    wire.0.write_all(head.as_bytes()).expect("head");
    // The agent may have hung up in the middle of it.
    let _ = wire.0.write_all(huge.as_bytes());
    assert!(wire.head().starts_with("HTTP/1.1 400 "));
    let mut wire = Wire::new(&host);
    let long = format!("X-Long: {}\r\n", "y".repeat(256 * 1024));
    let text = format!("GET /_ping HTTP/1.1\r\nHost: x\r\n{long}\r\n");
    let _ = wire.0.write_all(text.as_bytes());
    assert!(wire.head().starts_with("HTTP/1.1 431 "));
}

#[test]
fn statistics_come_once_with_a_sample_before() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let id = docker.ok(&["run", "-d", IMAGE, "sleep", "600"]);
    let ask = |query: &str| {
        let line = format!("GET /v1.50/containers/{id}/stats?{query}");
        Wire::ask(&host, &line, "")
    };
    let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
    let both = text(&ask("stream=0"));
    assert!(!both.contains("\"preread\":\"0001"), "{both}");
    let one = text(&ask("stream=0&one-shot=1"));
    assert!(one.contains("\"preread\":\"0001"), "{one}");
    assert_eq!(ask("one-shot=1").status(), 400);
}
