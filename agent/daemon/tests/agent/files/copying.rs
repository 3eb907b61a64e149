//! What goes in comes out again, wherever it is and whatever the container does.

use berth_proto::v1::{ExecOptions, GetRequest, HostConfig, Mount, PauseRequest, StatRequest};
use tar::EntryType;

use super::{Files, archive, members, options, sleeper, with_host};
use crate::client::{Client, reason};
use crate::host::Host;

async fn inside(client: &Client, container: &str, script: &str) -> String {
    let options = ExecOptions {
        container: container.to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let ran = client.exec(options, b"").await.expect("exec");
    assert_eq!(ran.code, 0, "{script}: {}", ran.stderr);
    ran.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn all_kinds_of_files_come_out_as_they_went_in_while_created_running_paused_and_stopped() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let shared = host.path("shared");
    std::fs::create_dir(&shared).expect("folder");
    let binds = vec![
        "volume:/in/volume".to_owned(),
        format!("{}:/in/bind", shared.display()),
    ];
    let config = with_host(HostConfig {
        binds,
        ..Default::default()
    });
    let id = client.create("box", config).await.expect("create");
    let sent = archive(&[
        (EntryType::Directory, "d/", ""),
        (EntryType::Regular, "d/file", "text"),
        (EntryType::Link, "d/second", "d/file"),
        (EntryType::Symlink, "d/link", "../../up"),
        (EntryType::Fifo, "d/fifo", ""),
    ]);
    let expected = members(&sent);
    let places = ["/", "/in/volume", "/in/bind"];
    for state in ["created", "running", "paused", "exited"] {
        match state {
            "running" => client.start(&id).await.expect("start"),
            "paused" => {
                let request = PauseRequest {
                    container: id.clone(),
                };
                client
                    .containers
                    .clone()
                    .pause(request)
                    .await
                    .expect("pause");
            }
            "exited" => client.kill(&id, "KILL").await.expect("kill"),
            _ => {}
        }
        let found = client.inspect(&id).await.expect("inspect");
        if state != "exited" {
            assert_eq!(found["State"]["Status"], state);
        }
        for place in places {
            files.put(&id, place, &sent).await.expect(state);
            let path = format!("{place}/d");
            let (stat, bytes) = files.get(&id, &path).await.expect(state);
            assert_eq!(members(&bytes), expected, "{state} {place}");
            assert_eq!((stat.name.as_str(), stat.mode >> 31), ("d", 1));
        }
    }
    // It is the machine's folder and the volume's own that were written to.
    assert_eq!(
        std::fs::read_to_string(shared.join("d/file")).expect("file"),
        "text"
    );
    assert!(host.path("data/volumes/volume/_data/d/file").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_and_its_copies_see_the_same_files() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let config = with_host(HostConfig {
        tmpfs: vec!["/fast".to_owned()],
        ..Default::default()
    });
    let id = client.run_detached("box", config).await;
    inside(&client, &id, "echo own >/fast/own; ln -s /fast /by-link").await;
    let sent = archive(&[(EntryType::Regular, "new", "sent")]);
    files.put(&id, "/by-link", &sent).await.expect("put");
    let found = inside(&client, &id, "cat /fast/own /fast/new; ls -ln /fast/new").await;
    assert!(found.starts_with("own\nsent"), "{found}");
    assert!(found.contains("1000     1001"), "{found}");
    let (_, bytes) = files.get(&id, "/by-link/.").await.expect("get");
    let names: Vec<String> = members(&bytes).into_keys().collect();
    assert_eq!(names, ["./", "./new", "./own"]);
    // A file that something is mounted on is written in place.
    let sent = archive(&[(EntryType::Regular, "hosts", "127.0.0.1 here\n")]);
    files.put(&id, "/etc", &sent).await.expect("put");
    assert_eq!(
        inside(&client, &id, "cat /etc/hosts").await,
        "127.0.0.1 here\n"
    );
    let mounted = inside(&client, &id, "grep -c ' /etc/hosts ' /proc/self/mountinfo").await;
    assert_eq!(mounted, "1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_refused_in_dockers_words() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let config = with_host(HostConfig {
        read_only_rootfs: true,
        binds: vec!["locked:/locked:ro".to_owned(), "open:/open".to_owned()],
        ..Default::default()
    });
    let id = client.create("box", config).await.expect("create");
    let sent = archive(&[(EntryType::Regular, "f", "x")]);
    for _state in ["created", "running"] {
        for (path, expected) in [
            ("/tmp", "container rootfs is marked read-only"),
            ("/locked", "mounted volume is marked read-only"),
            ("/none", "Could not find the file /none in container box"),
            ("/data/from-image", "extraction point is not a directory"),
        ] {
            let status = files.put("box", path, &sent).await.expect_err("refused");
            assert_eq!(status.message(), expected);
        }
        files.put("box", "/open", &sent).await.expect("a volume");
        let status = files.get("box", "/none").await.expect_err("nothing");
        assert_eq!(
            status.message(),
            "Could not find the file /none in container box"
        );
        assert_eq!(reason(&status), "path-not-found");
        for path in ["/data/from-image/", "/data/from-image/."] {
            let status = files.get("box", path).await.expect_err("no folder");
            let expected = format!("lstat {path}: not a directory");
            assert_eq!(status.message(), expected);
        }
        client.start(&id).await.expect("start");
    }
    let status = files.get("none", "/x").await.expect_err("no container");
    assert_eq!(status.message(), "No such container: none");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_and_files_do_not_replace_each_other_unless_asked() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let id = client.create("box", sleeper()).await.expect("create");
    let folder = archive(&[(EntryType::Directory, "x/", "")]);
    let file = archive(&[(EntryType::Regular, "x", "file")]);
    files.put(&id, "/tmp", &folder).await.expect("folder");
    let status = files.put(&id, "/tmp", &file).await.expect_err("refused");
    let expected = r#"cannot overwrite directory "/tmp/x" with non-directory "/tmp""#;
    assert_eq!(status.message(), expected);
    let mut asked = options(&id, "/tmp");
    asked.no_overwrite_dir_non_dir = false;
    files.put_with(asked, &file).await.expect("replaced");
    let status = files.put(&id, "/tmp", &folder).await.expect_err("refused");
    let expected = r#"cannot overwrite non-directory "/tmp/x" with directory "/tmp""#;
    assert_eq!(status.message(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_described_copied_or_followed() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let id = client.create("box", sleeper()).await.expect("create");
    let sent = archive(&[
        (EntryType::Symlink, "one", "two"),
        (EntryType::Symlink, "two", "../data/from-image"),
    ]);
    files.put(&id, "/tmp", &sent).await.expect("put");
    let request = StatRequest {
        container: id.clone(),
        path: "/tmp/one".to_owned(),
    };
    let answer = files.service.clone().stat(request).await.expect("stat");
    let stat = answer.into_inner().stat.expect("stat");
    assert_eq!(stat.link_target, "/data/from-image");
    assert_eq!((stat.name.as_str(), stat.mode), ("one", 0x0800_01ff));
    let (_, bytes) = files.get(&id, "/tmp/one").await.expect("get");
    assert_eq!(members(&bytes)["one"], "2 777 1000:1001 two");
    let request = GetRequest {
        container: id.clone(),
        path: "/tmp/one".to_owned(),
        follow_link: true,
        sparse: false,
    };
    let (stat, bytes) = files.get_with(request).await.expect("get");
    assert_eq!(stat.name, "from-image");
    assert_eq!(members(&bytes)["from-image"], "0 644 0:0 seed\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_of_files_take_no_room_on_the_way_and_there() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let config = with_host(HostConfig {
        binds: vec!["volume:/v".to_owned()],
        ..Default::default()
    });
    let id = client.create("box", config).await.expect("create");
    let folder = host.path("data/volumes/volume/_data");
    let big = std::fs::File::create(folder.join("big")).expect("file");
    big.set_len(4 << 30).expect("size");
    std::os::unix::fs::FileExt::write_all_at(&big, b"in the middle", 3 << 30).expect("data");
    let request = GetRequest {
        container: id.clone(),
        path: "/v/big".to_owned(),
        follow_link: false,
        sparse: true,
    };
    let (stat, bytes) = files.get_with(request).await.expect("get");
    assert_eq!(stat.size_bytes, 4 << 30);
    assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
    std::fs::remove_file(folder.join("big")).expect("remove");
    files.put(&id, "/v", &bytes).await.expect("put");
    let metadata = std::fs::metadata(folder.join("big")).expect("file");
    assert_eq!(metadata.len(), 4 << 30);
    assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) < 1_000);
    let big = std::fs::File::open(folder.join("big")).expect("file");
    let mut text = [0; 13];
    std::os::unix::fs::FileExt::read_exact_at(&big, &mut text, 3 << 30).expect("data");
    assert_eq!(&text, b"in the middle");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_belong_to_the_containers_user_when_that_is_asked() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let mut config = sleeper();
    config.user = "10:20".to_owned();
    let id = client.create("box", config).await.expect("create");
    let sent = archive(&[(EntryType::Regular, "f", "x")]);
    for (copy_owner, expected) in [(false, "0 755 1000:1001 x"), (true, "0 755 10:20 x")] {
        let mut asked = options(&id, "/tmp");
        asked.copy_owner = copy_owner;
        files.put_with(asked, &sent).await.expect("put");
        let (_, bytes) = files.get(&id, "/tmp/f").await.expect("get");
        assert_eq!(members(&bytes)["f"], expected);
    }
}

/// The same as a start would mount: a path of a volume, without what is mounted below, read-only as asked.
#[tokio::test(flavor = "multi_thread")]
async fn mounts_are_those_of_a_start_while_it_does_not_run() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let fill = with_host(HostConfig {
        binds: vec!["data:/data".to_owned()],
        ..Default::default()
    });
    let filler = client.create("filler", fill).await.expect("create");
    let sent = archive(&[
        (EntryType::Directory, "part/", ""),
        (EntryType::Regular, "part/own", "own"),
        (EntryType::Regular, "other", "not to be seen"),
        (EntryType::Symlink, "up", "/"),
    ]);
    files.put(&filler, "/data", &sent).await.expect("put");
    let outer = host.path("outer");
    std::fs::create_dir_all(outer.join("inner")).expect("folders");
    let below = outer.join("inner").to_string_lossy().into_owned();
    let mounted = host
        .enter("mount")
        .args(["-t", "tmpfs", "tmpfs", &below])
        .status();
    assert!(mounted.expect("mount").success());
    let mount = |kind: &str, source: &str, target: &str| Mount {
        r#type: kind.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        ..Default::default()
    };
    let outer = outer.to_string_lossy().into_owned();
    let config = with_host(HostConfig {
        mounts: vec![
            Mount {
                volume_subpath: "up/part".to_owned(),
                ..mount("volume", "data", "/part")
            },
            Mount {
                bind_non_recursive: true,
                ..mount("bind", &outer, "/alone")
            },
            Mount {
                read_only: true,
                ..mount("bind", &outer, "/locked")
            },
        ],
        ..Default::default()
    });
    let id = client.create("box", config).await.expect("create");
    let new = archive(&[(EntryType::Regular, "new", "sent")]);
    for state in ["created", "running"] {
        files.put(&id, "/part", &new).await.expect(state);
        let (_, bytes) = files.get(&id, "/part/.").await.expect(state);
        let names: Vec<String> = members(&bytes).into_keys().collect();
        assert_eq!(names, ["./", "./new", "./own"], "{state}");
        // The folder that the mount hides, or the mount itself.
        files.put(&id, "/alone/inner", &new).await.expect(state);
        for path in ["/locked", "/locked/inner"] {
            let status = files.put(&id, path, &new).await.expect_err(state);
            let expected = "mounted volume is marked read-only";
            assert_eq!(status.message(), expected, "{state} {path}");
        }
        let mounted = host.path("outer/inner/new");
        let seen = host.enter("test").arg("-e").arg(&mounted).status();
        assert!(
            !seen.expect("test").success(),
            "{state}: in what is mounted below"
        );
        client.start(&id).await.expect("start");
    }
    assert!(host.path("data/volumes/data/_data/part/new").exists());
    assert!(!host.path("data/volumes/data/_data/new").exists());
}
