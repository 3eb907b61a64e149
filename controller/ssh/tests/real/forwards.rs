//! Ports that lead through a session, and an agent that is lent.

use berth_controller_ssh::{Forward, Forwards, Place};
use berth_tests_support::free_port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Host;

/// A server that answers with what it hears, backwards, when its peer has said all.
async fn mirror() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).await.unwrap();
                heard.reverse();
                stream.write_all(&heard).await.unwrap();
            });
        }
    });
    port
}

async fn ask(mut stream: TcpStream) -> Vec<u8> {
    stream.write_all(b"abc").await.unwrap();
    // The end of what is sent goes through, and what comes back still arrives.
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn ports_of_ours_lead_to_the_hosts_side() {
    let host = Host::start(&[]);
    let session = host.session().await;
    let (port, goal) = (free_port(), mirror().await);
    let socket = host.path("socket");
    let forwards = [
        format!("{port}:127.0.0.1:{goal}").parse().unwrap(),
        format!("{}:127.0.0.1:{goal}", socket.display())
            .parse()
            .unwrap(),
    ];
    let listening = Forwards::listen(&forwards).await.unwrap();
    let asking = async {
        let (one, two) = tokio::join!(
            async { ask(TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await },
            async { ask(TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await },
        );
        assert_eq!((one.as_slice(), two.as_slice()), (&b"cba"[..], &b"cba"[..]));
        let mut unix = tokio::net::UnixStream::connect(&socket).await.unwrap();
        unix.write_all(b"xy").await.unwrap();
        unix.shutdown().await.unwrap();
        let mut answer = Vec::new();
        unix.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"yx");
    };
    tokio::select! {
        never = session.serve(listening) => match never {},
        () = asking => {}
    }
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let busy: Forward = format!("{port}:h:1").parse().unwrap();
    let error = Forwards::listen(&[busy]).await.unwrap_err().to_string();
    assert!(error.contains(&port.to_string()), "{error}");
}

#[tokio::test]
async fn proxy_leads_wherever_it_is_asked_to() {
    let host = Host::start(&[]);
    let session = host.session().await;
    let (port, goal) = (free_port(), mirror().await);
    let listening = Forwards::listen(&[Forward::dynamic(&port.to_string()).unwrap()])
        .await
        .unwrap();
    let [high, low] = goal.to_be_bytes();
    let asking = async {
        let mut five = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        five.write_all(&[5, 1, 0]).await.unwrap();
        let mut chosen = [0; 2];
        five.read_exact(&mut chosen).await.unwrap();
        assert_eq!(chosen, [5, 0]);
        let name = b"127.0.0.1";
        let length = u8::try_from(name.len()).unwrap();
        let request = [&[5, 1, 0, 3, length][..], name, &[high, low]].concat();
        five.write_all(&request).await.unwrap();
        let mut granted = [0; 10];
        five.read_exact(&mut granted).await.unwrap();
        assert_eq!(granted[1], 0);
        assert_eq!(ask(five).await, b"cba");

        let mut four = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = [&[4, 1, high, low, 127, 0, 0, 1][..], b"me\0"].concat();
        four.write_all(&request).await.unwrap();
        let mut granted = [0; 8];
        four.read_exact(&mut granted).await.unwrap();
        assert_eq!(granted[1], 90);
        assert_eq!(ask(four).await, b"cba");
    };
    tokio::select! {
        never = session.serve(listening) => match never {},
        () = asking => {}
    }
}

#[tokio::test]
async fn ports_of_the_host_lead_to_our_side() {
    let host = Host::start(&[]);
    let session = host.session().await;
    let goal = mirror().await;
    let place = Place::Port(Some("127.0.0.1".to_owned()), goal);
    let port = session.forward_back(None, 0, place).await.unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(ask(stream).await, b"cba");

    let refusing = Host::start(&["AllowTcpForwarding local"]);
    let session = refusing.session().await;
    let place = Place::Port(None, goal);
    let error = session.forward_back(None, 0, place).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}
