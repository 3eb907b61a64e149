//! Logs that are rotated while clients read, and disks that are full.

use std::fs;
use std::path::Path;

use berth_agent_runtime::AttachFrom;
use berth_agent_runtime::log::{LogPolicy, Reader};

use crate::support::{Container, attach, end, read_all, read_until, until};

fn numbers(to: u64) -> String {
    (1..=to).map(|number| format!("{number}\n")).collect()
}

fn small(max_files: u32) -> LogPolicy {
    LogPolicy {
        max_bytes: Some(64 * 1024),
        max_files,
        ..LogPolicy::default()
    }
}

/// Names of the segments that are there.
fn segments(bundle: &Path) -> Vec<String> {
    let names = fs::read_dir(bundle).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.into_string().unwrap()
    });
    names
        .filter(|name| name.starts_with("container.log"))
        .collect()
}

#[tokio::test]
async fn attached_clients_miss_nothing_of_a_log_that_keeps_little() {
    for log in [small(1), small(3), LogPolicy::nothing()] {
        let container = Container::new();
        let mut request = container.script("read go; seq 1 200000; echo end >&2");
        request.open_stdin = true;
        request.log = log;
        let running = container.start(request).await;
        let mut slow = attach(&running, AttachFrom::Start, false).await;
        let mut other = attach(&running, AttachFrom::Start, true).await;
        let stdin = other.stdin.as_mut().unwrap();
        tokio::io::AsyncWriteExt::write_all(stdin, b"go\n")
            .await
            .unwrap();
        let expected = format!("{}end\n", numbers(200_000));
        assert!(read_all(&mut other.output).await == expected);
        // All this time nobody has read here, and the container has ended.
        assert_eq!(end(&running).await.code, 0);
        assert!(read_all(&mut slow.output).await == expected);
    }
}

#[tokio::test]
async fn so_many_files_are_kept_and_the_newest_is_complete() {
    let container = Container::new();
    let mut request = container.script("seq 1 200000");
    request.log = small(3);
    let running = container.start(request).await;
    assert_eq!(end(&running).await.code, 0);
    let bundle = container.bundle();
    until("the supervisor has cleaned up", || {
        segments(&bundle).len() <= 3
    })
    .await;
    assert_eq!(segments(&bundle).len(), 3, "{:?}", segments(&bundle));
    let output = container.output();
    assert!(output.len() > 2 * 64 * 1024 * 9 / 10, "{}", output.len());
    let all = numbers(200_000);
    assert!(all.ends_with(&output));
    // A further run goes on in the same log.
    let mut request = container.script("echo again");
    request.log = small(3);
    end(&container.start(request).await).await;
    assert!(container.output().ends_with("\n200000\nagain\n"));
}

#[tokio::test]
async fn compressed_files_are_read_as_if_they_were_not() {
    let container = Container::new();
    let mut request = container.script("seq 1 100000; echo done; read x");
    request.open_stdin = true;
    request.log = LogPolicy {
        compress: true,
        ..small(100)
    };
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "done").await;
    let bundle = container.bundle();
    let is_packed = |name: &String| name.ends_with(".gz");
    until("the complete files are compressed", || {
        let names = segments(&bundle);
        names.len() > 5 && names.iter().filter(|name| !is_packed(name)).count() == 1
    })
    .await;
    assert!(container.output() == format!("{}done\n", numbers(100_000)));
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn a_disk_that_stays_full_does_not_hold_the_container_up_for_ever() {
    let container = Container::new();
    let disk = Disk::mount(&container.dir.path().join("disk"));
    let mut request = container.script(
        "dd if=/dev/zero bs=1k count=900 2>/dev/null; : > /tmp/gone-on; read x; echo after",
    );
    request.bundle_dir = disk.0.clone();
    request.open_stdin = true;
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Now, true).await;
    let gone_on = container.dir.path().join("upper/tmp/gone-on");
    until("the container has gone on", || gone_on.exists()).await;
    disk.resize("4m");
    let stdin = attachment.stdin.as_mut().unwrap();
    tokio::io::AsyncWriteExt::write_all(stdin, b"x\n")
        .await
        .unwrap();
    let record = end(&running).await;
    let mut reader = Reader::open(&disk.0).unwrap();
    let (mut kept, mut lost, mut told) = (0, 0, 0);
    while let Some(record) = reader.next_record().unwrap() {
        kept += record.data.len() as u64;
        lost += record.lost;
        told += u64::from(record.lost > 0);
    }
    assert!(lost > 0);
    assert_eq!(told, 1);
    assert_eq!(kept + lost, 900 * 1024 + 6);
    assert_eq!(record.output_lost, lost);
}

/// A small disk, unmounted when it is dropped.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(path)
            .status();
        assert!(mounted.unwrap().success());
        Self(path.to_owned())
    }

    fn resize(&self, size: &str) {
        let grown = std::process::Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(&self.0)
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}
