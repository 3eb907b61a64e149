//! What happens when agents, supervisors or the machine go away.

use std::fs;

use berth_agent_runtime::{AttachFrom, Reattached};
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Container, attach, end, read_all, read_until, runtime, send, supervisor_of, until, within,
};

#[tokio::test]
async fn a_container_outlives_its_agent() {
    let container = Container::new();
    let mut request = container.script("echo before; read word; echo got $word; exit 3");
    request.open_stdin = true;
    // A runtime of its own is all that this process knows of the container.
    let pid = {
        let request = request.clone();
        let id = container.id.clone();
        let agent = Container::new();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let running = runtime.block_on(agent.start(request));
            assert!(!id.is_empty());
            running.pid()
        })
        .join()
        .unwrap()
    };
    let found = within(container.runtime.reattach(
        &container.id,
        &container.bundle(),
        &container.run_dir(),
    ))
    .await;
    let Reattached::Running(running) = found.unwrap() else {
        panic!("not running")
    };
    assert_eq!(running.pid(), pid);
    let mut attachment = attach(&running, AttachFrom::Beginning, true).await;
    read_until(&mut attachment.output, "before").await;
    attachment
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"word\n")
        .await
        .unwrap();
    assert_eq!(read_all(&mut attachment.output).await, "got word\n");
    assert_eq!(end(&running).await.code, 3);
    let found = within(container.runtime.reattach(
        &container.id,
        &container.bundle(),
        &container.run_dir(),
    ))
    .await;
    let Reattached::Exited(record) = found.unwrap() else {
        panic!("no record")
    };
    assert_eq!(record.code, 3);
}

#[tokio::test]
async fn a_pause_outlives_the_agent() {
    let container = Container::new();
    let running = container.start(container.script("sleep 1000")).await;
    let mut met = Vec::new();
    for pauses in [true, false] {
        if pauses {
            within(running.pause()).await.unwrap();
        } else {
            within(running.resume()).await.unwrap();
        }
        let (bundle, run_dir) = (container.bundle(), container.run_dir());
        let found = container.runtime.reattach(&container.id, &bundle, &run_dir);
        let Reattached::Running(found) = within(found).await.unwrap() else {
            panic!("not running")
        };
        met.push(found.was_paused());
    }
    assert_eq!(running.was_paused(), Some(false));
    assert_eq!(met, [Some(true), Some(false)]);
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_container_along_and_is_cleaned_up_after() {
    let container = Container::new();
    let running = container
        .start(container.script("sleep 1000 & sleep 1000"))
        .await;
    let parent = supervisor_of(&running);
    send(parent, Signal::SIGKILL);
    assert!(within(running.wait()).await.is_none());
    until("the container is killed", || {
        !fs::exists(format!("/proc/{}/exe", running.pid())).unwrap()
    })
    .await;
    let found = within(container.runtime.reattach(
        &container.id,
        &container.bundle(),
        &container.run_dir(),
    ))
    .await;
    assert!(matches!(found.unwrap(), Reattached::Lost));
    assert!(!container.run_dir().exists());
    assert!(!container.group_in("pids").exists());
    // And the container starts again as if nothing had been.
    assert_eq!(container.run(container.script("exit 0")).await.0.code, 0);
}

/// What happens to every process when the machine shuts down.
#[tokio::test]
async fn a_terminated_supervisor_ends_its_container_and_writes_the_record() {
    let container = Container::new();
    let script = "trap 'echo asked; exit 4' TERM; echo up; while :; do sleep 0.02; done";
    let running = container.start(container.script(script)).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "up").await;
    send(supervisor_of(&running), Signal::SIGTERM);
    assert_eq!(read_all(&mut attachment.output).await, "asked\n");
    assert_eq!(end(&running).await.code, 4);
}

#[tokio::test]
async fn a_container_that_does_not_end_with_the_machine_is_killed_even_while_paused() {
    let container = Container::new();
    let running = container
        .start(container.script("trap '' TERM; echo up; while :; do sleep 0.02; done"))
        .await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "up").await;
    within(running.pause()).await.unwrap();
    let begin = std::time::Instant::now();
    send(supervisor_of(&running), Signal::SIGTERM);
    let record = end(&running).await;
    assert_eq!((record.code, record.signal), (137, Some(9)));
    // The tests' supervisors wait this long.
    assert!(begin.elapsed() >= std::time::Duration::from_millis(300));
}

#[tokio::test]
async fn a_container_that_is_being_started_is_waited_for_and_not_lost() {
    let container = Container::new();
    // As if the supervisor of the run before still cleaned up, which holds the start up.
    let log = fs::File::create(container.bundle().join("container.log")).unwrap();
    log.lock().unwrap();
    let (bundle, run_dir) = (container.bundle(), container.run_dir());
    let find = async {
        let directory = fs::File::open(&bundle).unwrap();
        until("the start has begun", || directory.try_lock().is_err()).await;
        let mut found = Box::pin(container.runtime.reattach(&container.id, &bundle, &run_dir));
        let pause = std::time::Duration::from_millis(50);
        tokio::time::timeout(pause, &mut found).await.unwrap_err();
        drop(log);
        within(found).await.unwrap()
    };
    let (running, found) =
        tokio::join!(container.start(container.request(&["sleep", "1000"])), find);
    let Reattached::Running(found) = found else {
        panic!("{found:?}")
    };
    assert_eq!(found.pid(), running.pid());
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn a_start_is_known_of_from_before_its_supervisor_does_anything() {
    let container = Container::new();
    let written = container.dir.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 1000", written.display());
    let agent = runtime("/bin/sh", &["-c", &script]);
    let mut start = Box::pin(agent.start(container.request(&["true"])));
    let (bundle, run_dir) = (container.bundle(), container.run_dir());
    let begun = until("the supervisor runs", || {
        fs::read_to_string(&written).is_ok_and(|pid| pid.ends_with('\n'))
    });
    tokio::select! {
        started = &mut start => panic!("{started:?}"),
        () = begun => {}
    }
    // The agent is killed.
    drop(start);
    let mut found = Box::pin(container.runtime.reattach(&container.id, &bundle, &run_dir));
    let pause = std::time::Duration::from_millis(50);
    tokio::time::timeout(pause, &mut found).await.unwrap_err();
    let pid = fs::read_to_string(&written).unwrap();
    send(pid.trim().parse().unwrap(), Signal::SIGKILL);
    assert!(matches!(within(found).await.unwrap(), Reattached::Lost));
}
