//! A registry that serves images from memory, on the loopback of a machine, and can misbehave.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::Image;

/// What a registry does wrong with blobs larger than a few kilobytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Cuts the connection after so many bytes of each answer, the first so many times.
    CutAfter {
        /// Bytes sent before the cut.
        bytes: usize,
        /// Answers that are cut.
        times: usize,
    },
    /// Changes one byte in the middle.
    Corrupt,
    /// Stops sending after so many bytes, but keeps the connection until [`FaultyRegistry::heal`].
    StallAfter {
        /// Bytes sent before the stall.
        bytes: usize,
    },
}

/// Blobs smaller than this are served without fault: configurations are not what is tested.
const FAULTY_FROM_BYTES: usize = 64 * 1024;

/// The registry; it stops when this value goes.
#[derive(Debug)]
pub struct FaultyRegistry {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    manifests: HashMap<String, (Vec<u8>, &'static str)>,
    blobs: HashMap<String, Vec<u8>>,
    fault: Mutex<Fault>,
    n_cut: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

// === impl FaultyRegistry ===

impl FaultyRegistry {
    /// Serves `images`, each as `name:latest`, on the loopback of the network namespace of process
    /// `pid`.
    ///
    /// # Panics
    ///
    /// When that namespace cannot be entered or has no port left.
    #[must_use]
    pub fn start(pid: u32, images: &[(&str, &Image)], fault: Fault) -> Self {
        let listener = listen_in_namespace_of(pid);
        let port = listener.local_addr().expect("a bound socket").port();
        let mut shared = Shared {
            manifests: HashMap::new(),
            blobs: HashMap::new(),
            fault: Mutex::new(fault),
            n_cut: AtomicUsize::new(0),
            requests: Mutex::default(),
        };
        for (name, image) in images {
            for tag in ["latest".to_owned(), image.digest()] {
                let manifest = (image.manifest.clone(), image.media_type);
                shared
                    .manifests
                    .insert(format!("{name}/manifests/{tag}"), manifest);
            }
            shared.blobs.extend(image.blobs.iter().cloned());
        }
        let shared = Arc::new(shared);
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // A peer that goes away is part of the tests.
                std::thread::spawn(move || drop(serve(&shared, stream)));
            }
        });
        Self { port, shared }
    }

    /// Returns the reference of an image here.
    #[must_use]
    pub fn reference(&self, name: &str) -> String {
        format!("localhost:{}/{name}", self.port)
    }

    /// Serves without fault from now on, also what is stalled.
    pub fn heal(&self) {
        *self
            .shared
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Fault::None;
    }

    /// Returns the requests so far, as `METHOD path [Range]`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Shared {
    fn note(&self, request: String) {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
    }
}

/// A thread may enter a namespace for itself; the socket that it makes there stays there.
fn listen_in_namespace_of(pid: u32) -> TcpListener {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("the machine's process");
    std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter namespaces");
        TcpListener::bind("127.0.0.1:0").expect("a free port")
    })
    .join()
    .expect("the thread does not panic")
}

fn serve(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let range = read_range(&mut reader)?;
        let mut words = request.split_whitespace();
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let noted = range.map_or_else(String::new, |first| format!(" from {first}"));
        shared.note(format!("{method} {path}{noted}"));
        let path = path.trim_start_matches("/v2/");
        answer(shared, &mut stream, method, path, range)?;
    }
}

/// Reads the headers and returns the first byte of the range that they ask for.
fn read_range(reader: &mut impl std::io::BufRead) -> std::io::Result<Option<usize>> {
    let mut range = None;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            return Ok(range);
        }
        if let Some(bytes) = header.strip_prefix("range: bytes=") {
            range = bytes.split('-').next().and_then(|first| first.parse().ok());
        }
    }
}

fn answer(
    shared: &Shared,
    stream: &mut TcpStream,
    method: &str,
    path: &str,
    range: Option<usize>,
) -> std::io::Result<()> {
    if path.is_empty() {
        return respond(stream, method, "200 OK", "application/json", b"{}");
    }
    if let Some((manifest, media_type)) = shared.manifests.get(path) {
        return respond(stream, method, "200 OK", media_type, manifest);
    }
    let digest = path.rsplit('/').next().unwrap_or_default();
    match shared.blobs.get(digest) {
        Some(blob) if method == "GET" => send_blob(shared, stream, blob, range.unwrap_or(0)),
        Some(blob) => respond(stream, method, "200 OK", "application/octet-stream", blob),
        None => {
            let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such thing"}]}"#;
            respond(stream, method, "404 Not Found", "application/json", body)
        }
    }
}

fn respond(
    stream: &mut TcpStream,
    method: &str,
    status: &str,
    media_type: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    if method != "HEAD" {
        stream.write_all(body)?;
    }
    Ok(())
}

fn send_blob(
    shared: &Shared,
    stream: &mut TcpStream,
    blob: &[u8],
    first: usize,
) -> std::io::Result<()> {
    let body = blob.get(first..).unwrap_or_default();
    let status = if first > 0 {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n",
        body.len()
    )?;
    if first > 0 {
        write!(
            stream,
            "Content-Range: bytes {first}-{}/{}\r\n",
            blob.len() - 1,
            blob.len()
        )?;
    }
    stream.write_all(b"\r\n")?;
    let fault = *shared.fault.lock().unwrap_or_else(PoisonError::into_inner);
    if blob.len() < FAULTY_FROM_BYTES {
        return stream.write_all(body);
    }
    match fault {
        Fault::None => stream.write_all(body),
        Fault::CutAfter { bytes, times } => {
            if shared.n_cut.fetch_add(1, Ordering::SeqCst) >= times {
                return stream.write_all(body);
            }
            stream.write_all(&body[..bytes.min(body.len())])?;
            stream.shutdown(std::net::Shutdown::Both)
        }
        Fault::Corrupt => {
            let mut wrong = body.to_vec();
            let middle = wrong.len() / 2;
            wrong[middle] ^= 0xff;
            stream.write_all(&wrong)
        }
        Fault::StallAfter { bytes } => {
            let (sent, rest) = body.split_at(bytes.min(body.len()));
            stream.write_all(sent)?;
            while *shared.fault.lock().unwrap_or_else(PoisonError::into_inner) != Fault::None {
                std::thread::sleep(Duration::from_millis(10));
            }
            stream.write_all(rest)
        }
    }
}
