//! The client against a real OpenSSH server.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::time::Duration;

use berth_controller_ssh::{
    ConnectError, Endpoint, ExecError, ExitStatus, HostKey, HostKeyPolicy, Pty, Session, Streams,
    WindowSize,
};
use berth_tests_support::{Sshd, SshdOptions, free_port, make_key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::watch;

const LONG: Duration = Duration::from_secs(20);

fn endpoint(sshd: &Sshd) -> Endpoint {
    Endpoint {
        host: "127.0.0.1".to_owned(),
        port: sshd.port(),
        user: "root".to_owned(),
        key: Some(sshd.client_key()),
        ..Endpoint::default()
    }
}

async fn session(sshd: &Sshd) -> Session {
    let pinned = HostKeyPolicy::Pinned(HostKey::parse(&sshd.host_key()).unwrap());
    Session::connect(&endpoint(sshd), &pinned, LONG)
        .await
        .unwrap()
}

#[tokio::test]
async fn commands_give_output_errors_and_status() {
    let sshd = Sshd::start(&SshdOptions::default());
    let session = session(&sshd).await;
    let output = session
        .exec("cat; echo oops >&2; exit 7", b"hello")
        .await
        .unwrap();
    assert_eq!(output.stdout, b"hello");
    assert_eq!(output.stderr, b"oops\n");
    assert_eq!(output.status, ExitStatus::Code(7));
    let killed = session.exec("kill -9 $$", b"").await.unwrap();
    assert_eq!(killed.status, ExitStatus::Signal("KILL".to_owned()));
}

#[tokio::test]
async fn large_input_and_output_pass_at_the_same_time() {
    let sshd = Sshd::start(&SshdOptions::default());
    let session = session(&sshd).await;
    let data: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    let output = session.exec("cat", &data).await.unwrap();
    assert!(
        output.stdout == data,
        "{} bytes came back",
        output.stdout.len()
    );
}

#[tokio::test]
async fn program_that_does_not_read_its_input_ends_all_the_same() {
    let sshd = Sshd::start(&SshdOptions::default());
    let session = session(&sshd).await;
    let output = session
        .exec("echo done", &vec![0; 30_000_000])
        .await
        .unwrap();
    assert_eq!(output.stdout, b"done\n");
}

#[tokio::test]
async fn commands_run_side_by_side_on_one_connection() {
    let sshd = Sshd::start(&SshdOptions::default());
    let session = session(&sshd).await;
    let fifo = tempfile::tempdir().unwrap();
    let path = fifo.path().join("fifo");
    let wait = format!("mkfifo {0}; cat {0}", path.display());
    let wake = format!(
        "until test -p {0}; do :; done; echo woken > {0}",
        path.display()
    );
    let (waited, woke) = tokio::join!(session.exec(&wait, b""), session.exec(&wake, b""));
    assert_eq!(waited.unwrap().stdout, b"woken\n");
    assert!(woke.unwrap().status.success());
}

#[tokio::test]
async fn changed_host_key_is_refused_with_both_fingerprints() {
    let sshd = Sshd::start(&SshdOptions::default());
    let other = Sshd::start(&SshdOptions::default());
    let expected = HostKey::parse(&other.host_key()).unwrap();
    let pinned = HostKeyPolicy::Pinned(expected.clone());
    let error = Session::connect_when_up(&endpoint(&sshd), &pinned, LONG)
        .await
        .unwrap_err();
    let presented = HostKey::parse(&sshd.host_key()).unwrap();
    let text = error.to_string();
    assert!(
        matches!(error, ConnectError::HostKeyChanged { .. }),
        "{error:?}"
    );
    assert!(text.contains(&expected.fingerprint()), "{text}");
    assert!(text.contains(&presented.fingerprint()), "{text}");
}

#[tokio::test]
async fn learned_host_key_is_the_one_that_the_host_has() {
    let sshd = Sshd::start(&SshdOptions::default());
    let session = Session::connect(&endpoint(&sshd), &HostKeyPolicy::Learn, LONG)
        .await
        .unwrap();
    assert_eq!(
        *session.host_key(),
        HostKey::parse(&sshd.host_key()).unwrap()
    );
}

#[tokio::test]
async fn wrong_key_is_refused_and_named() {
    let sshd = Sshd::start(&SshdOptions::default());
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("other_key");
    make_key(&key);
    let stranger = Endpoint {
        key: Some(key),
        ..endpoint(&sshd)
    };
    let error = Session::connect(&stranger, &HostKeyPolicy::Learn, LONG)
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("other_key"), "{error}");
}

#[tokio::test]
async fn host_that_comes_up_later_is_waited_for() {
    let port = free_port();
    let options = SshdOptions {
        port: Some(port),
        ..SshdOptions::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let placeholder = directory.path().join("key");
    make_key(&placeholder);
    let early = Endpoint {
        host: "127.0.0.1".to_owned(),
        port,
        user: "root".to_owned(),
        key: Some(placeholder),
        ..Endpoint::default()
    };
    let connecting =
        tokio::spawn(
            async move { Session::connect_when_up(&early, &HostKeyPolicy::Learn, LONG).await },
        );
    let sshd = tokio::task::spawn_blocking(move || Sshd::start(&options))
        .await
        .unwrap();
    // The key is a stranger's: being refused proves that the server was reached.
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    drop(sshd);
}

#[tokio::test]
async fn port_without_a_server_is_unreachable() {
    let sshd = Sshd::start(&SshdOptions::default());
    let nobody = Endpoint {
        port: free_port(),
        ..endpoint(&sshd)
    };
    let error = Session::connect(&nobody, &HostKeyPolicy::Learn, LONG)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn silent_server_is_given_up_in_time() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = Endpoint {
        host: "127.0.0.1".to_owned(),
        port,
        user: "root".to_owned(),
        key: None,
        ..Endpoint::default()
    };
    let limit = Duration::from_millis(100);
    let error = Session::connect(&silent, &HostKeyPolicy::Learn, limit)
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn terminal_has_its_kind_and_follows_its_size() {
    let sshd = Sshd::start(&SshdOptions::default());
    let session = session(&sshd).await;
    let (resize, size) = watch::channel(WindowSize {
        columns: 91,
        rows: 17,
    });
    let (screen, mut seen) = tokio::io::duplex(4096);
    let (_keyboard, stdin) = tokio::io::duplex(64);
    let streams = Streams {
        stdin: Box::new(stdin),
        stdout: Box::new(screen),
        stderr: Box::new(tokio::io::sink()),
    };
    let pty = Pty {
        term: "vt220".to_owned(),
        size,
    };
    let command =
        r#"exec dash -c 'trap "stty size; exit 5" WINCH; echo $TERM; stty size; sleep 5 & wait'"#;
    let watching = async {
        let mut first = [0; "vt220\r\n17 91\r\n".len()];
        seen.read_exact(&mut first).await.unwrap();
        resize
            .send(WindowSize {
                columns: 100,
                rows: 30,
            })
            .unwrap();
        let mut rest = Vec::new();
        seen.read_to_end(&mut rest).await.unwrap();
        (
            String::from_utf8(first.to_vec()).unwrap(),
            String::from_utf8(rest).unwrap(),
        )
    };
    let (status, (first, rest)) =
        tokio::join!(session.run(Some(command), Some(pty), streams), watching);
    assert_eq!(first, "vt220\r\n17 91\r\n");
    assert_eq!(rest, "30 100\r\n");
    assert_eq!(status.unwrap(), ExitStatus::Code(5));
}

#[tokio::test]
async fn local_reader_that_goes_away_ends_the_command() {
    let sshd = Sshd::start(&SshdOptions::default());
    let session = session(&sshd).await;
    let (reader, writer) = tokio::io::duplex(16);
    drop(reader);
    let streams = Streams {
        stdin: Box::new(tokio::io::empty()),
        stdout: Box::new(writer),
        stderr: Box::new(tokio::io::sink()),
    };
    let error = session.run(Some("yes"), None, streams).await.unwrap_err();
    assert!(matches!(error, ExecError::Local(_)), "{error:?}");
}

#[tokio::test]
async fn unix_sockets_are_reached_through_the_host() {
    let sshd = Sshd::start(&SshdOptions::default());
    let session = session(&sshd).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = session.open_unix(path.to_str().unwrap()).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut received = [0; 4];
    peer.read_exact(&mut received).await.unwrap();
    peer.write_all(b"pong").await.unwrap();
    stream.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"pong");
    let absent = directory.path().join("absent");
    let refused = session
        .open_unix(absent.to_str().unwrap())
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, ExecError::Refused { .. }), "{refused:?}");
}

#[tokio::test]
async fn server_that_dies_is_noticed() {
    let sshd = Sshd::start(&SshdOptions {
        private_root: true,
        ..SshdOptions::default()
    });
    let session = session(&sshd).await;
    let (line, mut heard) = tokio::io::duplex(64);
    let streams = Streams {
        stdin: Box::new(tokio::io::empty()),
        stdout: Box::new(line),
        stderr: Box::new(tokio::io::sink()),
    };
    let dying = async {
        let mut ready = [0; 6];
        heard.read_exact(&mut ready).await.unwrap();
        drop(sshd);
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        result = session.run(Some("echo ready; sleep 60"), None, streams) => result.unwrap_err(),
        () = dying => unreachable!(),
    };
    assert!(matches!(error, ExecError::Lost), "{error:?}");
}
