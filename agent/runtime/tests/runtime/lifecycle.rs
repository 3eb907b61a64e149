//! Starting, ending, output and input.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use berth_agent_runtime::{AttachFrom, FailureKind, Rootfs, StartError};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Container, attach, end, read_all, read_until, supervisor_of, until};

#[tokio::test]
async fn output_and_exit_code_are_recorded() {
    let container = Container::new();
    let (record, output) = container
        .run(container.script("echo out; echo err >&2; exit 7"))
        .await;
    assert_eq!((record.code, record.signal), (7, None));
    assert!(record.started_at <= record.finished_at);
    assert!(
        output.contains("out\n") && output.contains("err\n"),
        "{output:?}"
    );
    assert!(!record.oom_killed);
}

#[tokio::test]
async fn nothing_of_a_run_is_left_but_its_log_and_record() {
    let container = Container::new();
    container.run_script("true").await;
    until("the run directory is removed", || {
        !container.run_dir().exists()
    })
    .await;
    let mut names: Vec<_> = fs::read_dir(container.bundle())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["container.log", "exit.json"]);
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let group = container.group_in(hierarchy.unwrap().file_name().to_str().unwrap());
        assert!(!group.exists(), "{}", group.display());
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(container.dir.path().to_str().unwrap()));
}

#[tokio::test]
async fn a_signal_ends_a_container_with_its_number() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    // Process 1 gets no signal that it has no handler for, except this one.
    running.signal(libc::SIGKILL).await.unwrap();
    let record = end(&running).await;
    assert_eq!((record.code, record.signal), (137, Some(9)));
    let error = running.signal(libc::SIGTERM).await.unwrap_err();
    assert!(error.to_string().ends_with("is not running"), "{error}");
}

#[tokio::test]
async fn a_missing_command_is_told_from_one_that_cannot_run() {
    let container = Container::new();
    fs::write(container.layer().join("bin/plain"), "text").unwrap();
    fs::write(container.layer().join("bin/garbage"), "garbage").unwrap();
    fs::set_permissions(
        container.layer().join("bin/garbage"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    for (command, kind) in [
        ("nope", FailureKind::CommandNotFound),
        ("/bin/nope", FailureKind::CommandNotFound),
        ("/bin/plain", FailureKind::CommandNotExecutable),
        ("/bin/garbage", FailureKind::CommandNotExecutable),
    ] {
        let error = container.fail(container.request(&[command])).await;
        assert_eq!(error.kind(), kind, "{command}: {error}");
    }
    until("the run directory is removed", || {
        !container.run_dir().exists()
    })
    .await;
    assert!(!container.bundle().join("exit.json.new").exists());
}

#[tokio::test]
async fn an_attached_client_gets_everything_however_short_the_container_lives() {
    for _ in 0..10 {
        let container = Container::new();
        let running = container.start(container.request(&["echo", "short"])).await;
        let mut attachment = attach(&running, AttachFrom::Start, false).await;
        assert_eq!(read_all(&mut attachment.output).await, "short\n");
    }
}

#[tokio::test]
async fn a_slow_client_loses_nothing_and_holds_up_nobody() {
    let container = Container::new();
    let running = container.start(container.script("seq 1 400000")).await;
    let mut slow = attach(&running, AttachFrom::Start, false).await;
    assert_eq!(end(&running).await.code, 0);
    let text = read_all(&mut slow.output).await;
    assert_eq!(text.lines().count(), 400_000);
    assert!(text.ends_with("\n400000\n"));
}

#[tokio::test]
async fn input_reaches_the_container_until_the_client_closes_it() {
    let container = Container::new();
    let mut request = container.request(&["cat"]);
    (request.open_stdin, request.stdin_once) = (true, true);
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, true).await;
    let mut stdin = attachment.stdin.take().unwrap();
    let text = "0123456789abcdef".repeat(64 * 1024);
    let sent = text.clone();
    let writer = tokio::spawn(async move {
        stdin.write_all(sent.as_bytes()).await.unwrap();
        stdin.shutdown().await.unwrap();
    });
    assert!(read_all(&mut attachment.output).await == text);
    writer.await.unwrap();
    assert_eq!(end(&running).await.code, 0);
}

#[tokio::test]
async fn a_second_start_while_the_container_runs_is_refused() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let error = container.fail(container.request(&["true"])).await;
    assert!(
        matches!(error, StartError::AlreadyRunning { .. }),
        "{error}"
    );
    assert!(running.exited().is_none());
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn a_container_starts_again_at_once_and_its_log_goes_on() {
    let container = Container::new();
    for turn in 0..5 {
        let running = container
            .start(container.script(&format!("echo turn {turn}")))
            .await;
        let mut attachment = attach(&running, AttachFrom::Start, false).await;
        assert_eq!(
            read_all(&mut attachment.output).await,
            format!("turn {turn}\n")
        );
        end(&running).await;
    }
    assert_eq!(
        container.output(),
        "turn 0\nturn 1\nturn 2\nturn 3\nturn 4\n"
    );
}

#[tokio::test]
async fn a_socket_path_may_be_longer_than_a_socket_address() {
    let container = Container::new();
    let mut request = container.script("read word; echo $word");
    request.open_stdin = true;
    request.run_dir = container
        .dir
        .path()
        .join("long".repeat(40))
        .join(&container.id);
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, true).await;
    attachment
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"far\n")
        .await
        .unwrap();
    assert_eq!(read_all(&mut attachment.output).await, "far\n");
    end(&running).await;
}

#[tokio::test]
async fn a_full_disk_stalls_output_until_there_is_room_and_the_record_is_written() {
    let container = Container::new();
    let disk = container.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&disk)
        .status()
        .unwrap();
    assert!(mounted.success());
    let mut request = container.script("dd if=/dev/zero bs=1k count=400 2>/dev/null; exit 5");
    request.bundle_dir = disk.clone();
    fs::write(disk.join("ballast"), vec![0; 64 * 1024]).unwrap();
    let running = container.start(request).await;
    // A piece of output is as long as a pipe at most, and one that does not fit leaves the disk as it was.
    until("the disk has no room for another piece", || {
        let disk = nix::sys::statvfs::statvfs(&disk).unwrap();
        disk.blocks_available() * disk.fragment_size() < 65 * 1024
    })
    .await;
    assert!(running.exited().is_none());
    let grown = std::process::Command::new("mount")
        .args(["-o", "remount,size=2m"])
        .arg(&disk)
        .status()
        .unwrap();
    assert!(grown.success());
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    let length = read_all(&mut attachment.output).await.len();
    let record = end(&running).await;
    let unmounted = nix::mount::umount2(&disk, nix::mount::MntFlags::MNT_DETACH);
    assert_eq!(
        (length, record.code, record.output_lost),
        (400 * 1024, 5, 0)
    );
    unmounted.unwrap();
}

#[tokio::test]
async fn layers_are_stacked_however_many_and_whatever_their_names() {
    let container = Container::new();
    let mut lower = Vec::new();
    for number in 0..120 {
        let layer = container
            .dir
            .path()
            .join(format!("layers: {number},{}\\", "long".repeat(20)));
        fs::create_dir_all(&layer).unwrap();
        fs::write(layer.join("which"), format!("{number}\n")).unwrap();
        fs::write(layer.join(format!("own{number}")), "").unwrap();
        lower.push(layer);
    }
    lower.push(container.layer());
    let mut request = container.script("cat /which; ls / | grep -c own");
    let (upper, work) = (
        container.dir.path().join("upper"),
        container.dir.path().join("work"),
    );
    request.rootfs = Rootfs::Overlay { lower, upper, work };
    assert_eq!(container.run(request).await.1, "0\n120\n");
}

#[tokio::test]
async fn a_plain_directory_and_an_image_without_layers_are_roots_too() {
    let container = Container::new();
    let mut request = container.script("touch /made; echo directory");
    request.rootfs = Rootfs::Directory(container.layer());
    assert_eq!(container.run(request).await.1, "directory\n");
    assert!(container.layer().join("made").exists());
    let mut request = container.script("echo upper");
    let (upper, work) = (container.layer(), container.dir.path().join("work"));
    request.rootfs = Rootfs::Overlay {
        lower: Vec::new(),
        upper,
        work,
    };
    assert!(container.run(request).await.1.ends_with("upper\n"));
}

#[tokio::test]
async fn a_supervisor_stays_small() {
    let container = Container::new();
    let running = container
        .start(container.script("seq 1 100000; exec sleep 1000"))
        .await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "\n100000\n").await;
    let parent = supervisor_of(&running);
    let memory = fs::read_to_string(format!("/proc/{parent}/smaps_rollup")).unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = memory
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    // The rest is the program's file, which all supervisors and the agent share.
    assert!(kilobytes("Anonymous:") < 1024, "{memory}");
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}
