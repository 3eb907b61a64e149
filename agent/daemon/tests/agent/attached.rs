//! Attach and exec: input, terminals, detaching.

use berth_proto::v1::attach_request::Message as Ask;
use berth_proto::v1::attach_response::Message as Answer;
use berth_proto::v1::{self, ContainerConfig, wait_request::Condition};
use tonic::Code;

use crate::client::{command, reason};
use crate::host::{Host, until};

fn exec(container: &str, words: &[&str]) -> v1::ExecOptions {
    v1::ExecOptions {
        container: container.to_owned(),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_reaches_the_process_and_its_end_too() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let config = ContainerConfig {
        open_stdin: true,
        stdin_once: true,
        ..command(&["sh", "-c", "cat; echo end"])
    };
    let id = client.create("", config).await.expect("create");
    let mut attached = client.attach(&id, true).await.expect("attach");
    // Typed before the start, as a pipe into `run -i` is.
    attached.type_in(b"one\n").await;
    client.start(&id).await.expect("start");
    attached.read_until("one\n").await;
    attached.type_in(b"two\n").await;
    attached.send(Ask::StdinClosed(v1::StdinClosed {})).await;
    let ran = attached.rest().await;
    assert_eq!((ran.stdout.as_str(), ran.code), ("two\nend\n", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn megabytes_pass_through_unharmed_even_to_a_slow_reader() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .create("", command(&["sh", "-c", "seq 1 300000; exit 5"]))
        .await
        .expect("create");
    let mut attached = client.attach(&id, false).await.expect("attach");
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.start(&id).await.expect("start");
    // The process ends although nobody has read anything yet.
    assert_eq!(ended.await.code, 5);
    let ran = attached.rest().await;
    let expected: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(
        ran.stdout == expected,
        "{} bytes instead of {}",
        ran.stdout.len(),
        expected.len()
    );
    assert_eq!(ran.code, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_real_and_can_be_left_and_joined_again() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let config = ContainerConfig {
        tty: true,
        open_stdin: true,
        console_size: Some(v1::TerminalSize {
            rows: 33,
            columns: 99,
        }),
        ..command(&["sh"])
    };
    let id = client.create("", config).await.expect("create");
    let mut attached = client.attach(&id, true).await.expect("attach");
    client.start(&id).await.expect("start");
    attached.type_in(b"tty; stty size; echo TERM=$TERM\n").await;
    let seen = attached.read_until("TERM=xterm").await;
    assert!(
        seen.contains("/dev/pts/0") || seen.contains("/dev/console"),
        "{seen}"
    );
    assert!(seen.contains("33 99"), "{seen}");
    attached
        .send(Ask::Resize(v1::TerminalSize {
            rows: 20,
            columns: 70,
        }))
        .await;
    until("resized", async || {
        attached.type_in(b"stty size; echo ok\n").await;
        attached.read_until("ok\r\n").await.contains("20 70")
    })
    .await;
    attached.type_in(b"\x10").await;
    attached.type_in(b"\x11").await;
    loop {
        match attached.next().await {
            Some(Answer::Output(_)) => {}
            Some(Answer::Detached(_)) => break,
            other => panic!("not detached: {other:?}"),
        }
    }
    assert!(attached.next().await.is_none(), "nothing follows");
    let mut again = client.attach(&id, true).await.expect("attach again");
    again.type_in(b"echo still here; exit 9\n").await;
    let ran = again.rest().await;
    assert!(ran.stdout.contains("still here\r\n"), "{}", ran.stdout);
    assert_eq!(ran.code, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_does_not_hurt_the_container() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let config = ContainerConfig {
        open_stdin: true,
        ..command(&["sh", "-c", "read x; echo got $x"])
    };
    let id = client.create("", config).await.expect("create");
    let attached = client.attach(&id, true).await.expect("attach");
    client.start(&id).await.expect("start");
    drop(attached);
    let second = host.client().await;
    let mut attached = second.attach(&id, true).await.expect("attach");
    attached.type_in(b"me\n").await;
    assert_eq!(attached.rest().await.stdout, "got me\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn further_commands_run_beside_the_first() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut config = command(&["sleep", "100"]);
    config.env = vec!["FROM=container".to_owned()];
    config.working_dir = "/tmp".to_owned();
    let id = client.run_detached("", config).await;
    let mut options = exec(
        &id,
        &[
            "sh",
            "-c",
            "echo $FROM $ONE; pwd; id -u; echo oops >&2; exit 6",
        ],
    );
    options.env = vec!["ONE=1".to_owned()];
    let ran = client.exec(options, b"").await.expect("exec");
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str(), ran.code),
        ("container 1\n/tmp\n0\n", "oops\n", 6)
    );
    let mut options = exec(&id, &["cat"]);
    options.stdin = true;
    assert_eq!(
        client.exec(options, b"piped").await.expect("exec").stdout,
        "piped"
    );
    let mut options = exec(&id, &["sh", "-c", "id -u; id -g; id -G; echo $HOME"]);
    options.user = "app".to_owned();
    let ran = client.exec(options, b"").await.expect("exec");
    assert_eq!(ran.stdout, "1000\n1001\n1001 10\n/home/app\n");
    let mut options = exec(&id, &["stty", "size"]);
    options.tty = true;
    options.size = Some(v1::TerminalSize {
        rows: 11,
        columns: 22,
    });
    assert_eq!(
        client.exec(options, b"").await.expect("exec").stdout,
        "11 22\r\n"
    );

    let error = client
        .exec(exec(&id, &["nosuch"]), b"")
        .await
        .expect_err("no command");
    assert_eq!(reason(&error), "command-not-found");
    let mut options = exec(&id, &["touch", "/tmp/done"]);
    options.detach = true;
    client.exec(options, b"").await.expect("exec");
    until("done", async || {
        let ran = client
            .exec(exec(&id, &["test", "-e", "/tmp/done"]), b"")
            .await;
        ran.expect("exec").code == 0
    })
    .await;
    client.kill(&id, "").await.expect("kill");
    let error = client
        .exec(exec(&id, &["true"]), b"")
        .await
        .expect_err("it ended");
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "not-running")
    );
}
