//! A container that wants to get at the machine's files through those who copy for it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use berth_proto::v1::HostConfig;
use tar::EntryType;

use super::{Files, archive, members, sleeper, with_host};
use crate::client::command;
use crate::host::Host;

/// How often a race is tried.
const ROUNDS: usize = 150;

/// A folder of the machine that no copy may reach, as readable as can be.
fn secret(host: &Host) -> String {
    let folder = host.path("secret");
    fs::create_dir(&folder).expect("folder");
    fs::write(folder.join("key"), "the machine's").expect("file");
    folder.to_string_lossy().into_owned()
}

fn assert_untouched(folder: &str) {
    let names: Vec<_> = fs::read_dir(folder)
        .expect("list")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    assert_eq!(names, ["key"]);
    let key = Path::new(folder).join("key");
    assert_eq!(fs::read_to_string(&key).expect("key"), "the machine's");
    let metadata = fs::metadata(&key).expect("key");
    assert_eq!((metadata.nlink(), metadata.uid()), (1, 0));
}

/// CVE-2018-15664: a folder becomes a link to the machine's while it is copied.
#[tokio::test(flavor = "multi_thread")]
async fn links_that_change_while_files_are_copied_lead_nowhere() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let secret = secret(&host);
    let script = format!(
        "mkdir /w; while :; do \
         mkdir -p /w/d; echo own >/w/d/key; rm -rf /w/d; \
         ln -s {secret} /w/d; rm -f /w/d; \
         ln -s /proc/1/root{secret} /w/d; rm -f /w/d; \
         ln -s /../../../..{secret} /w/d; rm -f /w/d; done"
    );
    let id = client
        .run_detached("box", command(&["sh", "-c", &script]))
        .await;
    let sent = archive(&[
        (EntryType::Regular, "new", "written"),
        (EntryType::Regular, "key", "overwritten"),
        (EntryType::Directory, "sub/", ""),
    ]);
    let deep = archive(&[(EntryType::Regular, "d/key", "overwritten")]);
    let mut n_copied = 0;
    for _round in 0..ROUNDS {
        // Most fail, for what they work on vanishes; that is none of our business.
        n_copied += usize::from(files.put(&id, "/w/d", &sent).await.is_ok());
        n_copied += usize::from(files.put(&id, "/w", &deep).await.is_ok());
        for path in ["/w", "/w/d", "/w/d/", "/w/d/key"] {
            if let Ok((_, bytes)) = files.get(&id, path).await {
                n_copied += 1;
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains("the machine's"), "{path}: {text}");
            }
        }
    }
    assert_untouched(&secret);
    assert!(n_copied > 0, "nothing was copied, so nothing was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_links_of_an_archive_lead_nowhere() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let secret = secret(&host);
    let outside = format!("{secret}/key");
    let up = format!("../../../../../../..{secret}/key");
    let id = client.create("box", sleeper()).await.expect("create");
    for _state in ["created", "running"] {
        let names = archive(&[
            (EntryType::Regular, outside.as_str(), "overwritten"),
            (EntryType::Regular, up.as_str(), "overwritten"),
        ]);
        files.put(&id, "/tmp", &names).await.expect("inside");
        let written = format!("/tmp{outside}");
        let (_, bytes) = files.get(&id, &written).await.expect("inside");
        assert_eq!(members(&bytes)["key"], "0 755 1000:1001 overwritten");
        for target in [secret.clone(), format!("/proc/1/root{secret}")] {
            let through = archive(&[
                (EntryType::Symlink, "l", target.as_str()),
                (EntryType::Regular, "l/key", "overwritten"),
            ]);
            // There is no such folder in the container.
            files.put(&id, "/tmp", &through).await.expect_err("nowhere");
        }
        for target in [outside.as_str(), up.as_str(), "l/key"] {
            let link = archive(&[
                (EntryType::Symlink, "l", secret.as_str()),
                (EntryType::Link, "hard", target),
            ]);
            let linked = files.put(&id, "/", &link).await;
            assert!(linked.is_err() || target != "l/key", "{target}");
        }
        assert_untouched(&secret);
        client.start(&id).await.expect("start");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernels_files_are_neither_read_nor_written() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let id = client.run_detached("box", sleeper()).await;
    for path in ["/proc", "/sys"] {
        let (_, bytes) = files.get(&id, path).await.expect("a folder");
        assert_eq!(members(&bytes).len(), 1, "{path}");
    }
    let (_, bytes) = files.get(&id, "/").await.expect("everything");
    let found = members(&bytes);
    assert!(found.contains_key("/bin/busybox") && found.contains_key("/proc/"));
    let of_kernel = |name: &&String| name.starts_with("/proc/") || name.starts_with("/sys/");
    assert_eq!(found.keys().filter(of_kernel).count(), 2);
    // Devices are described, not opened.
    assert!(
        found["/dev/zero"].starts_with("3 "),
        "{}",
        found["/dev/zero"]
    );
    let sent = archive(&[(EntryType::Regular, "core_pattern", "|/evil")]);
    for path in ["/proc/sys/kernel", "/proc", "/sys/kernel"] {
        files.put(&id, path, &sent).await.expect_err(path);
    }
    files
        .get(&id, "/proc/1/environ")
        .await
        .expect_err("no file");
    let deep = archive(&[(EntryType::Regular, "proc/sys/kernel/core_pattern", "|/evil")]);
    files.put(&id, "/", &deep).await.expect_err("the kernel's");
}

/// A whole root file system has the places of these folders, which is no reason to touch what is there.
#[tokio::test(flavor = "multi_thread")]
async fn folders_of_the_kernel_stay_as_they_are_when_an_archive_has_them() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let plain = client.run_detached("plain", sleeper()).await;
    // This one could write to the machine's.
    let config = with_host(HostConfig {
        privileged: true,
        ..Default::default()
    });
    let privileged = client.run_detached("privileged", config).await;
    let sent = archive(&[
        (EntryType::Directory, "./", ""),
        (EntryType::Directory, "proc/", ""),
        (EntryType::Directory, "sys/", ""),
        (EntryType::Regular, "tmp/after", "x"),
    ]);
    let look = |path: &str| {
        let found = fs::metadata(path).expect("the machine's");
        (found.mode(), found.uid(), found.gid())
    };
    let before = ["/sys", "/proc"].map(look);
    for id in [plain, privileged] {
        files.put(&id, "/", &sent).await.expect("the rest");
        let (_, bytes) = files.get(&id, "/tmp/after").await.expect("the rest");
        assert_eq!(members(&bytes).len(), 1);
        for path in ["/sys", "/proc"] {
            let (_, bytes) = files.get(&id, path).await.expect("a folder");
            let found = members(&bytes).into_values().next().expect("a folder");
            assert!(found.starts_with("5 555 0:0"), "{path}: {found}");
        }
    }
    assert_eq!(["/sys", "/proc"].map(look), before);
}

/// CVE-2019-14271: the program that copies loads a library of the container. Ours is static and never
/// enters the container's root with more than a system call; nothing of it is ever mapped.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_container_is_loaded() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let mut config = sleeper();
    // A name, so that somebody has to be looked up in the container's files.
    config.user = "app".to_owned();
    let id = client.create("box", config).await.expect("create");
    let evil = archive(&[
        (EntryType::Regular, "etc/nsswitch.conf", "passwd: evil\n"),
        (
            EntryType::Regular,
            "lib/libnss_evil.so.2",
            "not even a library",
        ),
        (
            EntryType::Regular,
            "lib/libnss_files.so.2",
            "not even a library",
        ),
    ]);
    files.put(&id, "/", &evil).await.expect("put");
    let sent = archive(&[(EntryType::Regular, "f", "x")]);
    for _state in ["created", "running"] {
        let mut asked = super::options(&id, "/tmp");
        asked.copy_owner = true;
        files.put_with(asked, &sent).await.expect("put");
        files.get(&id, "/tmp/f").await.expect("get");
        let maps = host.agent_maps();
        assert!(maps.contains("berthd"), "{maps}");
        let libraries: Vec<&str> = maps.lines().filter(|line| line.contains(".so")).collect();
        assert_eq!(libraries, Vec::<&str>::new());
        client.start(&id).await.expect("start");
    }
}

/// CVE-2021-41091: users of the machine reach set-user-id programs in containers' files.
#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_machine_reach_no_containers_files() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let id = client.run_detached("box", sleeper()).await;
    let sent = archive(&[(EntryType::Regular, "program", "#!/bin/sh\n")]);
    files.put(&id, "/", &sent).await.expect("put");
    // As if the data root lay in a folder of the machine that everybody may enter.
    fs::set_permissions(host.path("."), fs::Permissions::from_mode(0o755)).expect("mode");
    let stranger = |path: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "stat"]);
        let output = command.arg(path).output().expect("setpriv");
        output.status.success()
    };
    assert!(stranger(&host.path("data")), "the test itself is shut out");
    let upper = host.path(&format!("data/snapshots/containers/{id}/upper/program"));
    assert!(upper.exists() && !stranger(&upper));
    // Whatever the modes below are, nobody comes that far.
    for entry in fs::read_dir(host.path("data")).expect("list") {
        let path = entry.expect("entry").path();
        assert!(!stranger(&path), "{}", path.display());
    }
}
