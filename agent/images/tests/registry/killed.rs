//! An agent that is killed in the middle of a pull.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::proxy::{Fate, Proxy};
use crate::support::registry::Registry;
use crate::support::seed::{Layer, noise, tar_of};
use crate::support::store::Store;

/// Tells the child, which is this program again, where to pull what from.
const CHILD: &str = "BERTH_TEST_PULL_AND_BE_KILLED";

/// Not a test by itself: the part of the next one that runs in the child.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_pulls() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (root, reference) = task.split_once('=').expect("task");
    let store = Store::at(std::path::Path::new(root));
    let result = store.pull(reference).await;
    panic!("the pull was to be killed, but it ended: {result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pull_leaves_only_what_the_next_one_takes_up() {
    let registry = Registry::start();
    let small = Layer::gzip(&tar_of(&[("small", b"1")]));
    let big = Layer::gzip(&tar_of(&[
        ("first", &noise(500_000, 1)),
        ("big", &noise(3_000_000, 2)),
    ]));
    registry.seed("app", "1", &[small, big.clone()]).await;
    let proxy = Proxy::start(
        registry.address,
        vec![
            // The first connection only learns that there is no TLS; the next two bring the layers.
            Fate::Lives,
            Fate::StallsAfter(2_000_000),
            Fate::StallsAfter(2_000_000),
            Fate::Lives,
        ],
    );
    let temp = tempfile::tempdir().expect("temporary directory");
    let name = proxy.reference("app:1");
    let mut child = Command::new(std::env::current_exe().expect("program"))
        .args(["--exact", "killed::child_that_pulls", "--nocapture"])
        .env(CHILD, format!("{}={name}", temp.path().display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("child");
    let partial = temp
        .path()
        .join(format!("content/ingest/{}.partial", big.digest().hex()));
    let start = Instant::now();
    let arrived = || std::fs::metadata(&partial).map_or(0, |metadata| metadata.len());
    while arrived() < 1_000_000 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the pull does not get on"
        );
        assert!(
            child.try_wait().expect("wait").is_none(),
            "the pull ended by itself"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
    let kept = arrived();

    let store = Store::at(temp.path());
    assert_eq!(store.count("snapshots/staging"), 0);
    assert_eq!(store.images.list().expect("list").len(), 0);
    let before = proxy.received();
    store.pull(&name).await.expect("pull");
    let again = proxy.received() - before;
    assert!(
        again + kept < big.blob.len() as u64 + 100_000,
        "{again} came again, {kept} was kept"
    );
    let image = store.image(&name);
    assert!(store.read(&image, "big").expect("file") == noise(3_000_000, 2));
    assert_eq!(store.count("content/ingest"), 0);
    store.images.wait_until_settled();
}
