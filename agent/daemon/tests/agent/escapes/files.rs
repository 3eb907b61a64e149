//! Volumes and binds whose targets lead elsewhere.

use berth_proto::v1::HostConfig;

use super::{SECRET, host_with_secret, import, run, script};
use crate::host::Host;
use crate::image::Odd;

/// Makes a folder outside of the agent's with one file in it, and returns its path.
fn outside(host: &Host) -> String {
    let folder = host.path("outside");
    std::fs::create_dir(&folder).expect("folder");
    std::fs::write(folder.join("own"), SECRET).expect("file");
    folder.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_are_links_lead_to_nothing_of_the_host() {
    let (host, client, _) = host_with_secret().await;
    let outside = outside(&host);
    let up = format!("../../../../../../../..{outside}");
    let through_root = format!("/proc/1/root{outside}");
    let links = [
        Odd::Link("absolute", &outside),
        Odd::Link("up", &up),
        Odd::Link("procfs", &through_root),
        Odd::Link("cwd", "/proc/self/cwd"),
    ];
    import(&client, "links:test", &links).await;
    for target in ["absolute", "up", "procfs", "cwd"] {
        for bind in [
            format!("{target}-volume:/{target}"),
            format!("{}:/{target}", host.path("bound").display()),
            format!("{target}-below:/{target}/below"),
        ] {
            let options = HostConfig {
                binds: vec![bind.clone()],
                ..Default::default()
            };
            let look = format!("cat /{target}/own; echo x > /{target}/new; ls /{target}");
            // Refusing is right as well.
            if let Ok(ran) = run(&client, script("links:test", &look, options)).await {
                assert!(!ran.stdout.contains(SECRET), "{bind}: {}", ran.stdout);
            }
            let names = host.names("outside");
            assert_eq!(names, ["own"], "{bind} has changed the host");
        }
    }
    // What a volume is filled with is the image's.
    let found = host
        .enter("grep")
        .args(["-rl", SECRET])
        .arg(host.path("data/volumes"))
        .output();
    assert_eq!(String::from_utf8_lossy(&found.expect("grep").stdout), "");
}

/// A link that the container puts in place of a volume's target between two runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_became_a_link_stays_inside() {
    let (host, client, _) = host_with_secret().await;
    let outside = outside(&host);
    let look = format!(
        "cat /there/own; echo x > /there/new; busybox rm -rf /there 2>/dev/null; /bin/busybox umount /there; /bin/busybox rm -rf /there; /bin/busybox ln -s {outside} /there; exit 3"
    );
    let mut config = script(
        crate::client::IMAGE,
        &look,
        HostConfig {
            binds: vec!["kept:/there/deeper".to_owned()],
            cap_add: vec!["SYS_ADMIN".to_owned()],
            ..Default::default()
        },
    );
    if let Some(host) = &mut config.host {
        host.auto_remove = false;
    }
    let id = client.create("twice", config).await.expect("create");
    for _ in 0..3 {
        let ended = client
            .wait(&id, berth_proto::v1::wait_request::Condition::NextExit)
            .await
            .expect("wait");
        if client.start(&id).await.is_ok() {
            ended.await;
        }
    }
    let log = client.log_text(&id).await;
    assert!(!log.contains(SECRET), "{log}");
    assert_eq!(host.names("outside"), ["own"]);
}

/// The agent's own folder is the host's, and root may ask for it; it survives being given.
#[tokio::test(flavor = "multi_thread")]
async fn the_agents_folder_may_be_bound_and_outlives_its_container() {
    let (host, client, _) = host_with_secret().await;
    let root = host.path("data").display().to_string();
    let before = host.names("data");
    let options = HostConfig {
        binds: vec![format!("{root}:/inside")],
        ..Default::default()
    };
    let ran = run(&client, script(crate::client::IMAGE, "ls /inside", options)).await;
    let ran = ran.expect("run");
    let seen: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(seen, before, "the folder itself");
    assert_eq!(host.names("data"), before);
    assert_eq!(client.sh("echo fine").await.stdout, "fine\n");
}
