//! Images that are made to hurt who looks into them.

use berth_proto::v1::{ContainerConfig, HostConfig};
use tar::EntryType;
use tonic::Code;

use super::{SECRET, exec, host_with_secret, import, run, script, words};
use crate::client::{IMAGE, command};
use crate::host::{PATIENCE, until};
use crate::image::Odd;

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_users_that_are_no_files_neither_hang_nor_leak() {
    let (_host, client, secret) = host_with_secret().await;
    std::fs::write(&secret, "ghost:x:4321:4321::/:/bin/sh\n").expect("a passwd of the host");
    let up = format!("../../../../../../../..{secret}");
    let through_root = format!("/proc/1/root{secret}");
    let odd: [(&str, Vec<Odd<'_>>); 7] = [
        (
            "fifo",
            vec![Odd::Fifo("etc/passwd"), Odd::Fifo("etc/group")],
        ),
        (
            "absolute",
            vec![
                Odd::Link("etc/passwd", &secret),
                Odd::Link("etc/group", &secret),
            ],
        ),
        (
            "up",
            vec![Odd::Link("etc/passwd", &up), Odd::Link("etc/group", &up)],
        ),
        ("procfs", vec![Odd::Link("etc/passwd", &through_root)]),
        (
            "loop",
            vec![
                Odd::Link("etc/passwd", "group"),
                Odd::Link("etc/group", "passwd"),
            ],
        ),
        (
            "endless",
            vec![Odd::Device("etc/passwd", EntryType::Char, 1, 5)],
        ),
        (
            "folder",
            vec![Odd::Link("etc/passwd", "/tmp"), Odd::Link("etc/group", "/")],
        ),
    ];
    for (name, odd) in &odd {
        let image = format!("{name}:test");
        import(&client, &image, odd).await;
        // Root needs no file.
        let ran = run(&client, script(&image, "echo up", HostConfig::default())).await;
        assert_eq!(ran.expect(name).stdout, "up\n", "{name}");
        let id = client
            .run_detached("", with_image(&image, &["sleep", "100"]))
            .await;
        for user in ["ghost", "app:ghost", "0:ghost"] {
            let mut config = script(&image, "id -u; id -g", HostConfig::default());
            config.user = user.to_owned();
            let error = run(&client, config).await.expect_err(name);
            assert!(
                error.message().contains("no matching entries"),
                "{name}: {error}"
            );
            let mut options = words(&id, &["id", "-u"]);
            options.user = user.to_owned();
            let error = exec(&client, options).await.expect_err(name);
            assert!(
                error.message().contains("no matching entries"),
                "{name}: {error}"
            );
        }
        client.remove(&id, true, true).await.expect("remove");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_place_of_network_files_stay_in_the_container() {
    let (host, client, secret) = host_with_secret().await;
    let mounts = || {
        let output = host.enter("cat").arg("/proc/self/mounts").output();
        String::from_utf8_lossy(&output.expect("mounts").stdout).into_owned()
    };
    let up = format!("../../../../../../../..{secret}");
    for (name, target) in [
        ("absolute", secret.as_str()),
        ("up", &up),
        ("procfs", "/proc/self/environ"),
        ("missing", "/not/there"),
        ("self", "/proc/self/fd/3"),
    ] {
        let image = format!("{name}:test");
        let odd = [
            Odd::Link("etc/hosts", target),
            Odd::Link("etc/hostname", target),
            Odd::Link("etc/resolv.conf", target),
        ];
        import(&client, &image, &odd).await;
        let before = mounts();
        let look = "cat /etc/hosts /etc/hostname; grep ' /proc/1/' /proc/1/mounts && echo OVER PROCFS; echo intruder >> /etc/hosts; echo done; sleep 100";
        let id = client
            .create("", with_image(&image, &["sh", "-c", look]))
            .await;
        let id = id.expect("create");
        // Docker refuses some of these; what matters is that nothing of the host is touched.
        if client.start(&id).await.is_ok() {
            until("it has looked", async || {
                client.log_text(&id).await.contains("done")
            })
            .await;
            let log = client.log_text(&id).await;
            assert!(!log.contains(SECRET), "{name}: {log}");
        }
        assert_eq!(
            std::fs::read_to_string(&secret).expect("secret"),
            SECRET,
            "{name}"
        );
        let after = mounts();
        let new: Vec<&str> = after
            .lines()
            .filter(|line| !before.contains(line) && !line.contains("nsfs"))
            .collect();
        assert!(new.is_empty(), "{name}: {new:?}");
        client.remove(&id, true, true).await.expect("remove");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_an_image_open_nothing() {
    let (_host, client, _) = host_with_secret().await;
    let odd = [
        // Memory, kernel messages, the first disk, and a loop device.
        Odd::Device("mem", EntryType::Char, 1, 1),
        Odd::Device("kmsg", EntryType::Char, 1, 11),
        Odd::Device("disk", EntryType::Block, 254, 0),
        Odd::Device("loop", EntryType::Block, 7, 0),
    ];
    import(&client, "devices:test", &odd).await;
    let look = "for d in /mem /kmsg /disk /loop; do test -e $d && echo there; head -c 1 $d >/dev/null 2>&1 && echo OPENED $d; done";
    let ran = run(&client, script("devices:test", look, HostConfig::default())).await;
    let ran = ran.expect("run");
    assert!(!ran.stdout.contains("OPENED"), "{}", ran.stdout);
    assert!(ran.stdout.contains("there"), "{}", ran.stdout);
}

/// Nothing in this list may do more than fail.
#[tokio::test(flavor = "multi_thread")]
async fn absurd_configurations_are_refused_or_harmless() {
    let (_host, client, _) = host_with_secret().await;
    let usual = || ContainerConfig {
        image: IMAGE.to_owned(),
        ..command(&["true"])
    };
    let long = "x".repeat(200_000);
    let texts = [
        "a\0b",
        "../../../etc",
        "-1",
        "99999999999999999999",
        "root\nghost:x:0:0",
        "::::",
        "\u{202e}",
        &long,
    ];
    for text in texts {
        let text = text.to_owned();
        let configs = [
            ContainerConfig {
                user: text.clone(),
                ..usual()
            },
            ContainerConfig {
                user: format!("0:{text}"),
                ..usual()
            },
            ContainerConfig {
                working_dir: format!("/{text}"),
                ..usual()
            },
            ContainerConfig {
                hostname: text.clone(),
                ..usual()
            },
            ContainerConfig {
                domainname: text.clone(),
                ..usual()
            },
            ContainerConfig {
                env: vec![text.clone(), format!("={text}")],
                ..usual()
            },
            ContainerConfig {
                entrypoint: vec![text.clone()],
                ..usual()
            },
            ContainerConfig {
                command: vec![text.clone(), String::new()],
                ..usual()
            },
            ContainerConfig {
                stop_signal: text.clone(),
                ..usual()
            },
            ContainerConfig {
                volumes: vec![text.clone()],
                ..usual()
            },
            ContainerConfig {
                exposed_ports: vec![text.clone()],
                ..usual()
            },
        ];
        for config in configs {
            let id = match client.create("", config).await {
                Ok(id) => id,
                Err(error) => {
                    assert_ne!(error.code(), Code::Unknown, "{text:.40}: {error}");
                    continue;
                }
            };
            let started = tokio::time::timeout(PATIENCE, client.start(&id)).await;
            // Whether it starts is the text's matter.
            drop(started.expect("an answer in time"));
            client.inspect(&id).await.expect("inspect");
            client.remove(&id, true, true).await.expect("remove");
        }
    }
    assert!(client.list(&[]).await.expect("list").is_empty());
    assert_eq!(client.sh("echo fine").await.stdout, "fine\n");
}

fn with_image(image: &str, words: &[&str]) -> ContainerConfig {
    ContainerConfig {
        image: image.to_owned(),
        ..command(words)
    }
}
