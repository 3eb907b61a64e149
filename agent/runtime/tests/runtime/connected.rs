//! Binds that stay connected with the machine's mounts, and those that do not.

use std::fs;
use std::path::Path;

use berth_agent_runtime::AttachFrom;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use crate::support::{Container, attach, edit, end, read_until, until};

/// A mount of the machine that shares what is mounted below it.
struct Shared<'a>(&'a Path);

impl<'a> Shared<'a> {
    fn new(place: &'a Path) -> Self {
        fs::create_dir_all(place).expect("place");
        let none = None::<&str>;
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), none).expect("tmpfs");
        mount(none, place, none, MsFlags::MS_SHARED, none).expect("shared");
        fs::create_dir(place.join("below")).expect("below");
        Self(place)
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        let _gone = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

#[tokio::test]
async fn mounts_of_the_machine_appear_where_they_are_asked_for() {
    let container = Container::new();
    let place = container.dir.path().join("shared");
    let shared = Shared::new(&place);
    for (word, expected) in [("rshared", true), ("rslave", true), ("rprivate", false)] {
        let mut request = container
            .script("echo up; while [ ! -e /v/go ]; do sleep 0.01; done; ls /v/below; echo end");
        edit(&mut request, |spec| {
            let mounts = spec["mounts"].as_array_mut().expect("list");
            mounts.push(json!({"destination": "/v", "type": "bind", "source": place, "options": ["rbind", word]}));
        });
        let running = container.start(request).await;
        let mut attachment = attach(&running, AttachFrom::Start, false).await;
        read_until(&mut attachment.output, "up").await;
        let below = place.join("below");
        mount(
            Some("tmpfs"),
            &below,
            Some("tmpfs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .expect("tmpfs");
        fs::write(below.join("seen"), "").expect("file");
        fs::write(place.join("go"), "").expect("file");
        let output = read_until(&mut attachment.output, "end").await;
        end(&running).await;
        umount2(&below, MntFlags::MNT_DETACH).expect("umount");
        fs::remove_file(place.join("go")).expect("removal");
        assert_eq!(output.contains("seen"), expected, "{word}: {output}");
    }
    drop(shared);
}

#[tokio::test]
async fn only_a_shared_bind_shows_the_machine_what_the_container_mounts() {
    let container = Container::new();
    let place = container.dir.path().join("shared");
    let shared = Shared::new(&place);
    for (word, expected) in [("rshared", true), ("rslave", false), ("rprivate", false)] {
        let script = "mount -t tmpfs tmpfs /v/below && touch /v/below/inner && echo up; sleep 1000";
        let mut request = container.script(script);
        request.seccomp = None;
        edit(&mut request, |spec| {
            for set in ["bounding", "effective", "permitted"] {
                let list = spec["process"]["capabilities"][set]
                    .as_array_mut()
                    .expect("list");
                list.push(json!("CAP_SYS_ADMIN"));
            }
            let mounts = spec["mounts"].as_array_mut().expect("list");
            mounts.push(json!({"destination": "/v", "type": "bind", "source": place, "options": ["rbind", word]}));
        });
        let running = container.start(request).await;
        let mut attachment = attach(&running, AttachFrom::Start, false).await;
        read_until(&mut attachment.output, "up").await;
        assert_eq!(place.join("below/inner").exists(), expected, "{word}");
        running.signal(libc::SIGKILL).await.expect("it runs");
        end(&running).await;
        let _gone = umount2(&place.join("below"), MntFlags::MNT_DETACH);
        until("it is gone", || !place.join("below/inner").exists()).await;
    }
    drop(shared);
}
